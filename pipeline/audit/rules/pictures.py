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
            "label are one more class): its distance to a class is 1 minus the cosine to its k-th nearest there, k being 2 % of "
            "the sample and at least 5. So a handful of odd pictures that are like one another don't pass as a kind. The "
            "distance is taken in multiples of what is usual in that class, so that a class of varied pictures is "
            "not all flagged, and the nearest class counts. Flagged where the logarithm of the distance is above the sample's median plus "
            "`outlier_tail` deviations (of the upper half's middle, so that odd pictures don't move the threshold). The score is 1 - threshold / distance."
        ),
        todo="Look at the worst. Drop what is off topic; what belongs to a missing class may be the start of one.",
        source="k-th nearest neighbor: Ramaswamy, Rastogi, Shim 2000; a class at a time and its looseness: ours",
        thresholds=("outlier_tail",),
    ),
)
