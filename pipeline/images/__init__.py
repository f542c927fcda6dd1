"""What a picture is like, without asking what it shows: hashes, quality, and the rules about pictures."""
