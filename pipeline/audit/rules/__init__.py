"""The words of the rules on labels, copies, pictures, classes and annotators, by code."""

from secondlook.pipeline.audit.rules import annotators, classes, copies, labels, pictures
from secondlook.pipeline.core.rules import Rule

RULES: dict[str, Rule] = {
    rule.code: rule for rule in (*labels.RULES, *copies.RULES, *pictures.RULES, *classes.RULES, *annotators.RULES)
}
