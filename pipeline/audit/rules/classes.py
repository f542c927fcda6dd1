"""The words of the rules on classes; their functions stand in the folder above."""

from secondlook.pipeline.core.rules import Rule

RULES = (
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
