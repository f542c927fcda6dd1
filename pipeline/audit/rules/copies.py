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
            "named with the others and with the one to keep (`kept`), the first by key. The score is 1 - 1/n for a group of n."
        ),
        limits=(
            "Bytes, not pictures: the same picture saved twice with another quality or in another format is SL202's. "
            "Nothing here is a guess."
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
            "Candidates come from two sides. Two perceptual hashes of 64 bits: their pHash differs in at most near_bits "
            "and their dHash in at most near_confirm_bits, of the pictures as they are or of one of them mirrored. And "
            "with a model, the 20 nearest in its embedding (whitened, 128 numbers), as long as the hashes aren't far "
            "apart: the more alike the vectors, the more bits may differ. Then the pixels decide: at 32 x 32, in both "
            "orientations, the two are laid over one another by the best shift and an affine refinement, and the mean "
            "(on Fisher's scale) of how their colors and their fine detail correlate must reach near_match, and more the "
            "more bits differ; it counts less where one is mirrored and where all detail is a silhouette's. The evidence says what the pair was found by: bits, cosine, "
            "mirrored, match. Each picture is named with those near to it directly: groups are not chains, so A near B "
            "and B near C never makes A a copy of C. `kept` is the one to keep: from the largest picture down, then by "
            "key, one that is not taken yet is kept and takes all that are near to it. Pictures with almost no "
            "information (SL305) are left out. Equal bytes are SL201's. The score is the match, or where pixels were "
            "not compared 1 minus the share of bits that differ."
        ),
        todo="Look at the pair. Keep the better one, or keep both on the same side of a split.",
        source=(
            "pHash, Zauner 2010; dHash, Krawetz 2013; the search, Manku, Jain, Das Sarma 2007; the alignment, "
            "Evangelidis, Psarakis 2008; the rest is ours"
        ),
        limits=(
            "On CIFAR-10, 32 px: of the listed leaks 96 % of the near-duplicates and 90 % of all are found; of 100 "
            "reported pairs 82 were copies to an eye that in doubt said no. Most others are two silhouettes alike before "
            "a plain sky, or one car or plane photographed twice. Among 5,000 faces of different people, cropped alike, "
            "25 pairs match. Hashes alone, as before the first training, find a third of the leaks. Not seen: copies that "
            "are turned or upside down, cropped to less than half, or under a caption that covers an eighth; pictures that "
            "differ only in what 32 x 32 pixels don't show count as one. Where so many neighbors match that they can't all "
            "be copies, as with plain drawings of digits, the embedding isn't asked and lint says so. Among more than "
            "20,000 pictures the nearest neighbors come from an index: on CIFAR-10 it misses 8 in 100 of the 20 nearest "
            "and under 1 in 100 of the nearest whose cosine is 0.5 or more. In Spark, of 1,000 pairs 3 never meet in "
            "one of 30 cells, 27 in one of 600."
        ),
        thresholds=("near_bits", "near_confirm_bits", "near_match", "entropy", "flat"),
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
        limits=(
            "Those of SL202. Leaks across sources that show the same thing, but are no copies, are not seen. Training keeps "
            "exact copies and those by hash in one fold, and out of its figures; copies that only an embedding finds are "
            "known after it: the report scores the test split again without them. Dozens of reported pairs can be of "
            "one picture: CIFAR-10 holds one white car in many nearly equal pictures."
        ),
        thresholds=("near_bits", "near_confirm_bits", "near_match", "entropy", "flat"),
    ),
)
