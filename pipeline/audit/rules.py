"""The words of the rules on labels, copies and classes; their functions stand beside this file."""

from secondlook.pipeline.core.rules import Rule

_RULES = (
    Rule(
        code="SL101",
        name="likely mislabeled",
        what="The model finds another class clearly more probable than the given label.",
        why="A model learns wrong labels as if they were right, and a test set with wrong labels ranks models wrongly.",
        how=(
            "The probabilities are out of sample: the model that judges a picture was never shown it or a copy of it. "
            "With p(given) the probability of the given label and p(other) that of the best other class, a picture is "
            "flagged where p(other) - p(given) is above mislabel_margin. The score is (1 + p(other) - p(given)) / 2: "
            "0.5 is a tie, 1 is certain. It ranks pictures; it is not the chance that the label is wrong. Pictures that "
            "bear a class which the model has not seen are left out, and counted."
        ),
        todo=(
            "Let people look, worst first: `secondlook review push`. A class that fires everywhere may mean that "
            "two classes are defined alike, not that the labels are wrong."
        ),
        source="Normalized margin of Northcutt, Jiang, Chuang 2021 (Confident Learning) on out-of-sample probabilities",
        thresholds=("mislabel_margin",),
    ),
    Rule(
        code="SL102",
        name="ambiguous between classes",
        what="Two classes are about equally probable, and together they take nearly all of the probability.",
        why="Such pictures show both classes, or neither clearly; whichever label they bear, half of the annotators object.",
        how=(
            "The two best classes differ by less than ambiguous_margin and sum to at least ambiguous_mass. Only labeled "
            "pictures, and not those that SL101 already names. The score is 1 minus the difference."
        ),
        todo=(
            "Look at some side by side. Decide what the class means at this border and write it down, crop the picture "
            "to one thing, or accept that it is unsure."
        ),
        source="Margin sampling, Scheffer, Decomain, Wrobel 2001; read as a finding",
        thresholds=("ambiguous_margin", "ambiguous_mass"),
    ),
    Rule(
        code="SL103",
        name="identical pictures, different labels",
        what="The same bytes lie in the dataset more than once and bear different labels.",
        why="At most one of the labels can be right, and nothing needs to be estimated to know it.",
        how=(
            "Samples are grouped by their content's id, a hash of the bytes. A group whose labeled members bear more "
            "than one label is flagged, each labeled member of it. The score is the share of the labeled members that "
            "bear another label than this one. Members without a label don't disagree."
        ),
        todo="Decide the label once, then drop all copies but one.",
        source="ours",
    ),
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
    Rule(
        code="SL503",
        name="class with too few pictures",
        what="A class has fewer labeled pictures than a model needs to learn it, or an audit to judge it.",
        why="Its errors are invisible: with few pictures no figure about the class means much, and models ignore it.",
        how="Counts the labeled pictures of each class, declared classes without any included. The score is 1 - count / min_class.",
        todo="Collect more, merge it into a wider class, or leave it out until there are enough.",
        source="ours",
        thresholds=("min_class",),
    ),
)

RULES: dict[str, Rule] = {rule.code: rule for rule in _RULES}
