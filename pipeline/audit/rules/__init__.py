"""The words of the rules on labels, copies, pictures and classes, by code."""

from secondlook.pipeline.audit.rules import classes, copies, labels, pictures
from secondlook.pipeline.core.rules import Rule

RULES: dict[str, Rule] = {rule.code: rule for rule in (*labels.RULES, *copies.RULES, *pictures.RULES, *classes.RULES)}
