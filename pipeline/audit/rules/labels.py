"""The words of the rules on labels; their functions stand in the folder above."""

from secondlook.pipeline.core.rules import Rule

RULES = (
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
        limits=(
            "Only equal bytes: the same picture saved twice, with other bytes, is SL202's, whose pairs are not "
            "compared by label here."
        ),
    ),
)
