"""The words of the rules on the people who answer; their functions stand in labeling/people/."""

from secondlook.pipeline.core.rules import Rule

RULES = (
    Rule(
        code="SL601",
        name="fails gold questions",
        what="A person gets more of the pictures wrong whose class is known than is acceptable.",
        why="What this person says of all other pictures is as wrong, and there nobody notices.",
        how=(
            "Each first answer to a gold picture is right or wrong; `unsure` and `bad picture` are neither. An acceptable person is wrong on "
            "[review] gold_acceptable of them, or as often as other people are on that question where that is more; a question that most "
            "others get wrong is left out, since its gold may be. The evidence is a betting score (a mixture of likelihood ratios against "
            "acceptable, of sloppy answers from gold_unacceptable up and of guessing, begun at any of the answers): it starts "
            "at 1, and an acceptable person's ever reaches 1 / gold_alpha with a chance of gold_alpha at most, over a whole life of questions. So it is "
            "looked at after every answer. Who reaches it is flagged, and paused at the next `review pull`. Gold that was built from a person's own "
            "answers says nothing of that person. The score is the share of the gold questions that are wrong."
        ),
        todo=(
            "Look at the questions: `secondlook review gold` says which most people get wrong. Talk to the person; `review annotators --resume` lets "
            "the answers count again. `commit` decides anew what rested on them."
        ),
        source="Ville 1939; Wald 1945; Shiryaev 1963, Roberts 1966; e-detectors, Shin, Ramdas, Rinaldo 2023",
        limits=(
            "Of 20,000 simulated people who err on 10 % of the questions, 0.58 % are ever paused in 500 questions (promised: 1 %); one who errs on 30 % is "
            "paused after 29 questions in the median, on 90 % after 4 (docs/results/gold.md). Who errs a little more than acceptable is found "
            "late or never. Gold made of unanimous answers is easy, and tells of people who don't look, not of those who "
            "don't know. Where most people make the same mistake, it counts as the question's."
        ),
    ),
    Rule(
        code="SL602",
        name="answers too fast to have looked",
        what="Many answers of a person come faster than anybody else's, and they are wrong more often, or nobody can say.",
        why="An answer without a look costs the same as a good one, and outvotes a person who did look.",
        how=(
            "An answer is fast in less than half a second, or in less than `too_fast` of the time that others take for the same batch (the "
            "middle of their medians, of at least two others; of all batches where fewer have answered this one). Judged are people with "
            "20 timed answers; flagged where at least `fast_share` of them is fast. Fast and right is fine: where 10 fast answers or more can be compared with gold or "
            "with other people's answers, nobody is flagged whose fast answers are no worse than others' slower ones (binomial test, 5 %). The score is "
            "the share of fast answers."
        ),
        todo=(
            "Look at some of the answers. Ask for the same pictures once more, of someone else; mix in gold, which tells for sure. `review annotators --pause` "
            "takes the answers out."
        ),
        source="ours; times of other people as the measure, as in Rzeszotarski, Kittur 2011",
        limits=(
            "Times come from the labeling tool, and a tool that loads the next picture early, or a person who thinks before opening it, makes them short. Without "
            "times, or with fewer than two other people, nothing is said but of answers below half a second. Somebody who is fast on easy "
            "pictures and slow on hard ones is no different from one who skips the hard ones, but for the check. Of 2,000 simulated honest people (crowds of "
            "ten, 100 answers each, paces that differ by a third) 0.9 % were flagged, of 250 who are fast and as right as the others 3.2 %, of 250 who are fast and guess all "
            "(docs/results/gold.md)."
        ),
        thresholds=("too_fast", "fast_share"),
    ),
)
