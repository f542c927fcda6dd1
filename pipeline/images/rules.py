"""The words of the rules on pictures; their functions stand in `checks.py`."""

from secondlook.pipeline.core.rules import Rule

_RULES = (
    Rule(
        code="SL301",
        name="unreadable",
        what="The file is in the source, but it can't be decoded, or was refused as hostile.",
        why="It silently shrinks the dataset, and other readers may crash on it or make up the missing pixels.",
        how=(
            "Every file is decoded strictly when it is ingested. What fails is kept out, with a reason from a closed "
            "list: unreadable, empty, too large, not an image, unsupported, truncated, corrupt, decompression bomb, "
            "timeout. Size is checked before pixels are decoded; odd formats are decoded in a process of their own "
            "with bounded time and memory."
        ),
        todo=(
            "Fetch the file again from where it came from, convert it to JPEG or PNG, or delete it. Then ingest again: "
            "changed files are read anew, unchanged ones with --retry-rejects."
        ),
        source="ours",
        limits=(
            "A file that is damaged and still decodes (a torn JPEG whose lower half is gray is one that some decoders "
            "pass) is found only where the decoder notices. Reading every file strictly rejects some that lenient "
            "viewers show."
        ),
    ),
    Rule(
        code="SL302",
        name="dark",
        what="Even the brightest parts of the picture are dark.",
        why="People guess at what they can't see, and models learn that darkness means a class.",
        how=(
            "99 of 100 pixels have a brightness (luma, 0 to 1) below `dark`. White ink on black paper is not dark: its "
            "ink is bright. The score says how far below the threshold: 0 at it, 1 is black."
        ),
        todo="Brighten it and see whether the label can be told; else drop it, or take such pictures on purpose and waive.",
        source="After CleanVision's percentiles of brightness",
        limits=(
            "It looks at brightness alone: a night scene in which the thing is well lit in one hundredth of the "
            "picture passes, and a dark picture in which people see everything is flagged. The threshold was not "
            "fitted to labels."
        ),
        thresholds=("dark",),
    ),
    Rule(
        code="SL303",
        name="bright",
        what="Even the darkest parts of the picture are bright: overexposed or washed out.",
        why="What was burnt out is gone, and no annotator brings it back.",
        how=(
            "99 of 100 pixels have a brightness (luma, 0 to 1) above `bright`. A line drawing on white paper is not "
            "bright: its lines are dark. The score says how far above the threshold: 0 at it, 1 is white."
        ),
        todo="Take the picture again if you can; else see whether the label can be told, and drop it if not.",
        source="After CleanVision's percentiles of brightness",
        limits=(
            "It looks at brightness alone: a pale thing on a pale ground is flagged although people see it. The "
            "threshold was not fitted to labels."
        ),
        thresholds=("bright",),
    ),
    Rule(
        code="SL304",
        name="blurred",
        what="The picture has far less fine detail than the others of the dataset.",
        why="Blur hides what tells alike classes apart, so its labels are guesses, more often than others are.",
        how=(
            "Sharpness is the variance of the Laplacian over the variance of the brightness, at no more than 112 x 112 "
            "pixels' worth of area, so that neither resolution nor light counts. Flagged where it is below `blur` and "
            "below `blur_share` of the dataset's median: handwriting scanned at 8 pixels is smooth by nature, all of "
            "it. Flat pictures are SL305's. The score says how far below the threshold: 0 at it, 1 is no detail at all."
        ),
        todo="Look at the worst. Drop what nobody could label; what a camera will also see in use is worth keeping.",
        source="Variance of the Laplacian: Pech-Pacheco et al. 2000, Diatom autofocusing in brightfield microscopy",
        limits=(
            "It can't tell a blurred picture from a smooth thing (sky, fog, a wall), nor see blur of the thing alone "
            "before a sharp background. Datasets that are blurred as a whole raise nothing, since the median moves "
            "with them."
        ),
        thresholds=("blur", "blur_share"),
    ),
    Rule(
        code="SL305",
        name="no information",
        what="The picture is of one color, or nearly: a blank page, a covered lens, a placeholder.",
        why="There is nothing to see, so its label is noise.",
        how=(
            "The histogram of the brightness has less than `entropy` bits and deviates by less than 0.1 (a drawing in "
            "two tones has few bits, too, but much to see), or the brightness deviates by less than `flat`. The score "
            "is 1 - entropy / 8."
        ),
        todo="Drop it. If there are many alike, find the step that made them: a failed download, a broken camera.",
        source="Entropy: Shannon 1948; the rule is ours",
        limits=(
            "A placeholder with a logo or a text on it has information; many equal ones are found by SL201 and SL202."
        ),
        thresholds=("entropy", "flat"),
    ),
    Rule(
        code="SL306",
        name="odd shape",
        what="The picture is a long strip.",
        why="Models get it squeezed or cropped, so that they never see what the annotator saw.",
        how=(
            "The longer side is more than `aspect` times the shorter one. The score is 1 - aspect / (the picture's own)."
        ),
        todo="Crop it to the thing that the label means, or cut it into several pictures.",
        source="As in CleanVision",
        limits=(
            "It sees the frame, not the content: a panorama that is meant so is flagged, and a square picture with "
            "black bars is not."
        ),
        thresholds=("aspect",),
    ),
    Rule(
        code="SL307",
        name="too small for a person to label",
        what="The picture has so few pixels that people can't tell what it shows.",
        why="Annotators disagree on it for no fault of theirs, and agreement is what everything else is measured by.",
        how=(
            "The shorter side is below `min_side_px`. People name scenes and objects in color pictures of 32 pixels, "
            "and fall off steeply below. The score says how far below: 0 at the threshold, 1 at no pixels. Where several people "
            "answered for at least 30 pictures below the threshold and 30 above, the note and the evidence say on what share of each "
            "they disagree, and where somebody was unsure or called the picture bad, with Wilson's intervals."
        ),
        todo="Get the original if this is a thumbnail; else drop it.",
        source="Torralba, Fergus, Freeman 2008, 80 million tiny images (people's accuracy by resolution)",
        limits=(
            "Size in pixels says nothing of what fills them: a sharp icon of 16 pixels may be clear, and a small "
            "thing in a large picture is not looked at."
        ),
        thresholds=("min_side_px",),
    ),
)

RULES: dict[str, Rule] = {rule.code: rule for rule in _RULES}
