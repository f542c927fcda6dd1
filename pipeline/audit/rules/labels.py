"""The words of the rules on labels; their functions stand in the folder above."""

from secondlook.pipeline.core.rules import Rule

RULES = (
    Rule(
        code="SL101",
        name="likely mislabeled",
        what="What models say out of sample, all evidence together, speaks clearly against the given label.",
        why="A model learns wrong labels as if they were right, and a test set with wrong labels ranks models wrongly.",
        how=(
            "Every kind of evidence is out of sample: who judges a picture was never told its label, or that of a copy. "
            "Each says p(other) / (p(other) + p(given)), of the given label and the best other class, and the score is "
            "their mean in log odds: 0.5 is a tie, 1 is certain. The finding names the kinds that speak against the label and "
            "those that support it. Evidence is of one label: where the label was changed since the training, the model's "
            "predictions speak alone; so they do where a model kept no evidence. "
            "A picture is flagged where 2 * score - 1 is above mislabel_margin; `auto` chooses it in a first pass over the "
            "scores of all labels, without knowing which are wrong, and lint says which it was: the odds are calibrated until "
            "they explain how many labels differ from the model's best class, and must exceed (1 - w) / w, where w is the share "
            "of wrong labels at which as many are flagged. Fewer than 100 labels take 0.30. p_error is the score, which "
            "ranks pictures and is not the chance that the label is wrong, until 100 audit answers are there (`secondlook "
            "review push --audit`); then it is calibrated on them and is that chance. What is flagged stays the same. "
            "Pictures that bear a class which the model has not seen are left out, and counted."
        ),
        todo=(
            "Let people look, worst first: `secondlook review push`. A class that fires everywhere may mean that "
            "two classes are defined alike, not that the labels are wrong."
        ),
        source=(
            "Margins on out-of-sample probabilities: Northcutt, Jiang, Chuang 2021 (Confident Learning), Kuan and Mueller "
            "2022; training dynamics: Pleiss et al. 2020; calibration: Platt 1999"
        ),
        limits=(
            "A mistake that is made throughout is learned like the truth, and nothing speaks against it. Right labels "
            "of hard pictures are flagged: with one network's probabilities and the chosen margin, of 100 flagged "
            "labels of CIFAR-10N 89 were wrong where 9 % of all are, and 92 where 40 % are; 69 and 83 of 100 wrong "
            "ones were found. The chosen margin fits people's mistakes: on 12 matrices of these that it had not seen "
            "its F1 was 1.4 % below the best in hindsight on average and 2.5 % at worst. On 30 with planted mistakes "
            "it was 4 % below in the median, 12 % on average, 66 % at worst: few mistakes, planted at random, under a "
            "model that is itself wrong on a quarter of the pictures are flagged too generously, and a model that "
            "shares the mistakes flags too few (docs/results/flags.md). Odds of two small probabilities say little: "
            "where a model spreads itself over a hundred classes and mistakes are systematic, the ranking is weak. A "
            "refit has a thin tie to the labels that it judges, which flatters them where pictures are few "
            "(docs/guide/training.md). A class with few pictures is hardly known, and its labels are doubted more "
            "than they should be. Where a label is not among the classes that are kept for a picture ([train] top_k), "
            "its probability is an upper bound."
        ),
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
        limits=(
            "It tells what is unclear to the model, which is seldom what is unclear to people: of 10,000 CIFAR-10 test pictures it "
            "flags 178 (cross-fitted heads on MobileNetV2 features, right on 84 %), and CIFAR-10H's 51 people really dispute "
            "19 % of those (two of them differ on at least 0.2 of occasions; 95 % interval 14 to 26), against 12 % of all. It finds "
            "3 % of what people dispute. Where people answered, SL104 knows."
        ),
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
    Rule(
        code="SL104",
        name="annotators disagree",
        what="People who were asked what the picture shows gave different answers.",
        why="Where people differ, the picture or the definition of the classes is unclear, and any single label hides it.",
        how=(
            "Current answers, one a person and content, of all batches: a deleted answer and one whose decision was reverted "
            "don't count. Disagreement is 1 minus the share of pairs of people who gave one answer. `unsure` agrees with "
            "nobody, another `unsure` included; two who say `bad picture`, or two who say `none of these`, agree. From two answers that "
            "is 0 or 1, so the score draws it towards the mean of all answered pictures, which counts as much as four further "
            "answers: it estimates how often two further people would disagree. Flagged from `disagreement` up. The evidence "
            "counts every answer and names the class that most people named, if one leads."
        ),
        todo=(
            "Look at it beside its classes' definition. Write down what decides such cases, ask one more person, or drop "
            "what nobody can tell. `secondlook commit` takes the consensus where it is sure enough."
        ),
        source="Gini 1912, Simpson 1949 (share of pairs, none drawn twice); drawn towards the mean, CIFAR-10H (Peterson et al. 2019)",
        limits=(
            "People who make the same mistake agree, and nothing shows. Few answers tell little: on CIFAR-10H (5,000 pictures not "
            "used to choose the four answers, 51 people each, of whom 2, 3, 5 or 10 were drawn), flagged pictures were really disputed "
            "(two further people differ on at least 0.2 of occasions) in 54, 53, 52 and 78 of 100 cases against 12 overall, "
            "and 36, 49, 67 and 63 of 100 disputed ones were found."
        ),
        thresholds=("disagreement",),
    ),
)
