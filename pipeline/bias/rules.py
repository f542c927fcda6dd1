"""The words of the rules on groups of people; what they compare stands in measures.py beside."""

from secondlook.pipeline.core.rules import Rule

COMPARED = (
    "Groups are the values of attribute columns and what crossing up to [bias] `depth` of them makes; a missing value is the group "
    "“(not said)”. Each group is held against the rest of the pictures. A finding is sure beyond `alpha` over all comparisons of the "
    "whole report, of every rule of SL4 together (smallest p of permutations within a measure, Bonferroni between kinds of measures; or "
    "Benjamini-Yekutieli, or Holm, as `correction` says), and at least `least_gap` large. Copies of one picture count once for "
    "what chance does. Where a group of crossed attributes differs no more than the sum of what its attributes differ by, it is left out, and counted. "
    "Groups of an attribute that a model estimated are corrected for its errors by its validation, or left out where they can't be. "
)
SMALL = (
    "Groups with fewer than `min_cell` pictures are not tested. That nothing was found says only that no gap larger than the smallest "
    "one that this many pictures could have shown is likely; the note says how large that is."
)
THRESHOLDS = ("attributes", "depth", "most_values", "alpha", "correction", "least_gap", "min_cell")

_RULES = (
    Rule(
        code="SL401",
        name="group under-represented",
        what="A group has a smaller share of the pictures than the reference says it should have.",
        why="A model is worst on those it has seen least of, and an average over the dataset hides them.",
        how=(
            "Runs where [bias] `reference` is a CSV file (attribute, value, share: a census, the target market) or `uniform`. The share of "
            "each value of an attribute, of the pictures that say one, is held against its reference share by an exact binomial test; crossed attributes are not compared, as a reference gives one attribute at a time. "
            + COMPARED
            + "The finding says how many pictures of the group are missing, while all others stay as they are. The score is the difference of the shares."
        ),
        todo=(
            "Collect the missing pictures: `secondlook report --bias --targets targets.csv` writes how many of whom. Until they are there, "
            'train with `[train] reweigh` and `reweigh_to = "reference"`, which weighs the group as the reference says, and look at SL403 again.'
        ),
        source="REVISE, Wang, Liu, Zhang, Kleiman, Kim, Zhao, Shirai, Narayanan, Russakovsky 2022; Aequitas, Saleiro et al. 2018; the exact test and what is missing: ours",
        limits=(
            "It knows what the attribute column says, not who is in the picture. A reference is a choice: being like a census is not the same "
            "as having enough pictures of everybody to learn from. Only too small shares are findings. What those who did not say could change is in the evidence, as bounds. Here a value that few pictures have, or none, is compared, too, where at least `min_cell` pictures say the attribute: who is missing is what the rule is about. "
            + SMALL
        ),
        thresholds=(*THRESHOLDS, "reference"),
    ),
    Rule(
        code="SL402",
        name="label errors differ by group",
        what="The labels of a group are doubted more often than those of the others.",
        why=(
            "The model learns the mistakes as the truth about the group, and a test set with the same mistakes praises it for that."
        ),
        how=(
            "Of the labeled pictures that a model judged out of sample, those count that SL101 flags, by its very decision. "
            "A detector may itself err more on one group than on another; where an audit has 100 adjudicated answers or more (`secondlook review push --audit`), the rate "
            "is corrected by group with what they say (prediction-powered, each answer weighed by its chance of being drawn), and the corrected rate is what is tested. "
            + COMPARED
            + "The score is the difference of the rates."
        ),
        todo=(
            "Let people look at this group first: `secondlook review push --group GROUP`. Without audit answers begin with `secondlook review push --audit 200`, which tells "
            "wrong labels from a detector that is worse on the group. Then find out who labeled it, and from what instructions."
        ),
        source="Rogan, Gladen 1978; prediction-powered inference, Angelopoulos, Bates, Fannjiang, Jordan, Zrnic 2023; as an audit by groups: ours",
        limits=(
            "Without audit answers it tells how often labels are doubted, not how often they are wrong: a model that is worse on a group doubts more of its right labels (SL403 "
            "then shows it too, and the two can't be told apart without people's answers). A mistake that is made throughout a group is learned, and nothing doubts it. "
            + SMALL
        ),
        thresholds=THRESHOLDS,
    ),
    Rule(
        code="SL403",
        name="model accuracy differs by group",
        what="The model is right less often on a group, misses or imagines a class more often there, or is surer than it is right.",
        why="What works on average and fails for a group fails those people every time they meet it.",
        how=(
            "Predictions out of sample, beside the label: the share that is right; for each class (all of up to 20, else the 20 "
            "most frequent) the share of its pictures that got another class (false negatives) and the share of the others' pictures that got it (false "
            "positives); and how much surer the model is than right (mean confidence less accuracy). An error rate of a class that differs no more than the accuracy of the same group does is left out, and counted. Where people verified labels "
            "(`secondlook review push --verify`), the accuracy on these is a measure of its own. "
            + COMPARED
            + "The score is the size of the difference."
        ),
        todo=(
            "Check the labels of the group first (SL402). Then more pictures of it (`secondlook report --bias --targets targets.csv`), or a batch of the group to people "
            '(`secondlook review push --group GROUP`), or `[train] reweigh` with `reweigh_to = "equal"`; train again, and read the same table again.'
        ),
        source="Fairlearn's MetricFrame, Bird et al. 2020; equalized odds, Hardt, Price, Srebro 2016; Buolamwini, Gebru 2018; calibration by group, Pleiss et al. 2017",
        limits=(
            "Accuracy is agreement with the given label: a group whose labels are wrong more often looks as if the model failed it, and a model that shares the mistakes "
            "of the labels looks right. Cross-fitted models, which judge here, saw a part of the data less than the model that is used. Accuracy of classes "
            "that a group has more of may differ for the class's sake: compare false negatives, which hold the class fixed. False rates depend on how frequent a class is in the group only through errors, "
            "but calibration and false negatives can't all be equal where frequencies differ (Chouldechova 2017). "
            + SMALL
        ),
        thresholds=THRESHOLDS,
    ),
    Rule(
        code="SL404",
        name="class tied to group",
        what="A class is found with a group much more, or much less, often than chance would have it.",
        why="A model learns the group as a sign of the class: all nurses are women, all doctors men, and it says so of people it has not seen.",
        how=(
            "For each pair of a class and a group the normalized pointwise mutual information of the two: -1 never together, 0 independent, 1 only together, with a score interval; "
            "the lift (how many times as often as by chance) is in the evidence. Of up to 20 classes all, else the 20 most frequent. "
            + COMPARED
            + "Instead of `least_gap`, which is of shares, it is at least `least_npmi` large. The score is its size."
        ),
        todo=(
            "Collect pictures of the class without the group, and of the group without the class (`secondlook report --bias --targets targets.csv`), or `[train] reweigh`, which "
            "makes the two independent for training. Where the class means the group (wedding dress), waive it."
        ),
        source="Bouma 2009 (normalized PMI); Aka, Burke, Bäuerle, Greer, Mitchell 2021; Zhao, Wang, Yatskar, Ordonez, Chang 2017; reweighing, Kamiran, Calders 2012",
        limits=(
            "Given labels are compared, wrong ones too. It says that two things go together in this dataset, not why, nor whether they do so in the world. "
            "npmi of rare pairs is large with few pictures: read its interval. " + SMALL
        ),
        thresholds=(*THRESHOLDS, "least_npmi"),
    ),
    Rule(
        code="SL405",
        name="annotators disagree more on a group",
        what="People who were asked contradict each other more often on a group, or one of them answers differently there than the others do.",
        why=(
            "Where people differ on a group, the definition of the classes fits it badly or the pictures are worse; where one person differs from all others on "
            "one group only, it is that person's view of the group."
        ),
        how=(
            "Of the pictures that two people or more answered, those count to which the first two gave different answers (`unsure` agrees with nobody), "
            "so that pictures with more answers don't count as more disputed. "
            "Effects of single people: of each person's answers, whether it is what most of two others or more gave, on a group against the rest, among the like: in strata of "
            "the class that most of the others named, and of whether they were of one mind about it (so that pictures that are hard for everybody are "
            "compared with such). The test is that of Cochran, Mantel and Haenszel, its p exact; of up to 20 people, those with the most answers. "
            + COMPARED
            + "The score is the size of the difference."
        ),
        todo=(
            "Look at the pictures that are disputed, side by side (`secondlook review push --group GROUP`), and write down what decides them. "
            "Talk to a person before pausing them: `secondlook review annotators` has their answers to gold."
        ),
        source="Cochran 1954, Mantel, Haenszel 1959 (statsmodels StratifiedTable); Davani, Díaz, Prabhakaran 2022; as a rule of lint: ours",
        limits=(
            "Most people being of one mind does not make it right: a shared prejudice is agreement, and the one who sees it is the one who differs. Pictures that people were asked "
            "for are chosen because they are doubtful, so this speaks of those. " + SMALL
        ),
        thresholds=THRESHOLDS,
    ),
    Rule(
        code="SL406",
        name="the review queue picks groups unequally",
        what="The queue asks people for pictures of a group much less often, or much more often, than of the others.",
        why="Who is never asked for is never corrected: the labels of the others get better with each round, and the gap grows.",
        how=(
            "Of all pictures that could have been asked for, those count that a batch chose by score (doubted labels, pictures without a label, pictures asked again); "
            "what was drawn at random, gold, audits and verification don't. "
            + COMPARED
            + "The score is the size of the difference."
        ),
        todo=(
            '`[review] balance = "ATTRIBUTE"` keeps the share of every group in a batch above a floor; `secondlook review push --group GROUP` asks for one group. Where the '
            "labels of the group are wrong more often (SL402), more questions are what it needs: waive it."
        ),
        source="ours; demographic parity of a selection, Feldman, Friedler, Moeller, Scheidegger, Venkatasubramanian 2015",
        limits=(
            "It is the rate at which pictures are chosen, not whether the choice was good: a queue should choose more where more is wrong. "
            + SMALL
        ),
        thresholds=THRESHOLDS,
    ),
    Rule(
        code="SL407",
        name="picture quality differs by group",
        what="The pictures of a group are darker, more blurred, smaller or flatter than those of the others.",
        why=(
            "A camera, an exposure or a scanner that serves some people badly is where unequal models begin, and no labeling repairs it. Film and "
            "cameras were long set to light skin."
        ),
        how=(
            "Of all pictures that could be read, those count that are in the darkest tenth of the dataset (mean brightness), the most blurred (sharpness, as in SL304), the smallest "
            "(shorter side) or the flattest (contrast); ties at the border of the tenth are in it only as long as it stays below a quarter. "
            "Where all are alike, as after resizing, nothing is said. "
            + COMPARED
            + "The score is the difference of the rates."
        ),
        todo=(
            "Look at the pictures side by side, find what camera, place or file format they share, and take or choose better ones. "
            "`secondlook report --bias --targets targets.csv` says how many of whom."
        ),
        source="Buolamwini, Gebru 2018; REVISE, Wang et al. 2022 (sizes by group); tenths of the dataset's own measures: ours",
        limits=(
            "Brightness is that of the whole picture: dark skin, dark clothes and a dark room all lower it, and it does not say which. A tenth is relative: where all pictures are "
            "good, the worst tenth is good too. " + SMALL
        ),
        thresholds=THRESHOLDS,
    ),
)

RULES: dict[str, Rule] = {rule.code: rule for rule in _RULES}
