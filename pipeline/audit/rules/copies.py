"""The words of the rules on copies; their functions stand in the folder above."""

from secondlook.pipeline.core.rules import Rule

RULES = (
    Rule(
        code="SL201",
        name="exact duplicate",
        what="The same bytes lie in the dataset more than once.",
        why="Copies weigh as much as they are many, and they make a dataset look larger than it is.",
        how=(
            "Samples are grouped by their content's id, a hash of the bytes; each member of a group of two or more is "
            "named with the others. The score is 1 - 1/n for a group of n."
        ),
        todo="Keep one of each group. If copies are wanted (such as oversampling), waive the rule with that reason.",
        source="ours",
    ),
    Rule(
        code="SL202",
        name="near-duplicate",
        what="Another picture looks the same: it was resized, recompressed, slightly cropped or retouched.",
        why="Near-copies carry little news, and by chance they end up on both sides of a split.",
        how=(
            "Two perceptual hashes of 64 bits: pictures are near where their pHash differs in at most near_bits, and "
            "their dHash, which looks at other properties, in at most near_confirm_bits. Each picture is named with the "
            "pictures that are near to it directly: groups are not chains, so A near B and B near C never makes A a "
            "copy of C. `group` is a picture to keep: going through the pictures in order, one that is not taken yet "
            "is kept and takes all that are near to it. Pictures with almost no information (those that SL305 names) "
            "are left out, because their hashes are noise. Equal bytes are SL201's. Mirrored and "
            "rotated copies are not seen. The score is 1 minus the share of pHash bits that differ."
        ),
        todo="Look at the pair. Keep the better one, or keep both on the same side of a split.",
        source="pHash, Zauner 2010; dHash, Krawetz 2013; the search, Manku, Jain, Das Sarma 2007",
        thresholds=("near_bits", "near_confirm_bits", "entropy", "flat"),
    ),
    Rule(
        code="SL203",
        name="leak between splits",
        what="A picture and its exact or near copy lie in different splits.",
        why="A model that was trained on its test pictures is measured on its memory: the figure is too good.",
        how=(
            "The pairs of SL201 and SL202 whose members are in different splits; samples without a split are in none. "
            "Both sides are named. The score is that of the pair, 1 for equal bytes."
        ),
        todo=(
            "Remove the copy from the training side, or leave the test picture out of the evaluation. Splits are yours: "
            "nothing is moved by itself."
        ),
        source="Barz, Denzler 2020 (ciFAIR)",
        thresholds=("near_bits", "near_confirm_bits", "entropy", "flat"),
    ),
)
