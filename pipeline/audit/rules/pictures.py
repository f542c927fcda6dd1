"""The words of the rule on pictures that the embedding tells; its function stands in the folder above."""

from secondlook.pipeline.core.rules import Rule

RULES = (
    Rule(
        code="SL308",
        name="unlike the rest",
        what="The picture is far from every class of the dataset, as the model's embedding sees it.",
        why="It is off topic, broken, or of a class that the dataset doesn't have; whatever its label, a model learns noise from it.",
        how=(
            "A picture is compared with a random sample of each class (500 pictures of ten classes, fewer of more; those without a "
            "label are one more class): its distance to a class is 1 minus the cosine to its k-th nearest there, k being 5 % of "
            "the sample and at least 5. So a handful of odd pictures that are like one another don't pass as a kind. The "
            "distance is taken in multiples of what is usual in that class, so that a class of varied pictures is "
            "not all flagged, and the nearest class counts. Flagged where the logarithm of the distance is above the sample's median plus "
            "`outlier_tail` deviations (of the upper half's middle, so that odd pictures don't move the threshold). The score is 1 - threshold / distance."
        ),
        todo="Look at the worst. Drop what is off topic; what belongs to a missing class may be the start of one.",
        source="k-th nearest neighbor: Ramaswamy, Rastogi, Shim 2000; a class at a time and its looseness: ours",
        limits=(
            "It sees what the embedding sees. With 100 odd pictures among 10,000 of CIFAR-10 (MobileNetV2 features, labels at random) it "
            "flags 100 of 100 lines of letters, 99 noises, 94 digits, 92 faces, 52 pictures of Tiny ImageNet (many look like one of the "
            "classes) and 1 collage of four CIFAR-10 pictures; with nothing planted 57 of the 10,000 (docs/results/outliers.md). A kind that "
            "makes up more than some 3 % of what bears a label counts as part of that class. Without labels, kinds as rare as "
            "that are all flagged. More than 1,000 classes are compared as one."
        ),
        thresholds=("outlier_tail",),
    ),
)
