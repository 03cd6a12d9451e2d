"""What a reader is helped with: the algebra between equations, shapes, and questions."""

from __future__ import annotations

from typing import NamedTuple


class Lesson(NamedTuple):
    """What stands between an equation's left side and its right side.

    Args:
      steps: LaTeX of expressions that all equal the equation's right side, one from the other.
      shapes: a sentence; of one example vectors are rows.
      vector: LaTeX of the same for all elements at once.
    """

    steps: tuple[str, ...] = ()
    shapes: str = ""
    vector: str = ""


class Question(NamedTuple):
    """A question to check oneself with; mathematics between dollar signs."""

    asked: str
    answer: str


LESSONS = {
    "1": Lesson(
        (), r"$i$ has $d$ elements, $w$ is $d \times H$, $b$ and $Z$ have $H$.", r"Z = i w + b"
    ),
    "2": Lesson((), r"$Z$ and $O$ have $H$ elements, each by itself.", r"O = \sigma(Z)"),
    "3": Lesson(
        (), r"$O$ has $H$ elements, $w$ is $H \times K$, $b$ and $Z$ have $K$.", r"Z = O w + b"
    ),
    "4": Lesson(
        (
            r"\frac{e^{Z_k - m}}{\sum_{j=1}^{K} e^{Z_j - m}}",
            r"\frac{e^{-m} e^{Z_k}}{e^{-m} \sum_{j=1}^{K} e^{Z_j}}",
            r"\frac{e^{Z_k}}{\sum_{j=1}^{K} e^{Z_j}}",
        ),
        "$Z$ and $Y$ have $K$ elements, and all of $Z$ decide each of $Y$.",
    ),
    "5": Lesson((), "One number, of $K$ labels and $K$ outputs.", r"E = -\log(Y) L^{\top}"),
    "6": Lesson(
        (
            r"\sum_{j=1}^{K} \frac{\partial E}{\partial Z_j} \frac{\partial Z_j}{\partial w_{hk}}",
            r"\frac{\partial E}{\partial Z_k} O_h",
        ),
        r"$H \times K$ derivatives, one a weight.",
    ),
    "7": Lesson(
        (
            r"\frac{e^{Z_k} S - e^{Z_k} e^{Z_k}}{S^{2}}",
            r"\frac{e^{Z_k}}{S} \cdot \frac{S - e^{Z_k}}{S}",
            r"Y_k (1 - Y_k)",
        ),
        r"The diagonal of a $K \times K$ matrix; $S = \sum_{j=1}^{K} e^{Z_j}$.",
    ),
    "8": Lesson(
        (
            r"\frac{0 \cdot S - e^{Z_o} e^{Z_k}}{S^{2}}",
            r"-\frac{e^{Z_o}}{S} \cdot \frac{e^{Z_k}}{S}",
            r"-Y_o Y_k",
        ),
        "The rest of that matrix.",
        r"\frac{\partial Y}{\partial Z} = \mathrm{diag}(Y) - Y^{\top} Y",
    ),
    "9": Lesson(
        (
            r"-\sum_{i=1}^{K} L_i \frac{1}{Y_i} \frac{\partial Y_i}{\partial Z_k}",
            r"-\sum_{i=1}^{K} \frac{L_i}{Y_i} \frac{\partial Y_i}{\partial Z_k}",
        ),
        r"$K$ labels over outputs, times a $K \times K$ matrix: $K$ derivatives.",
        r"\frac{\partial E}{\partial Z} = -\frac{L}{Y} \frac{\partial Y}{\partial Z}",
    ),
    "10": Lesson((r"-L_k \frac{1}{Y_k} Y_k (1 - Y_k)", r"-L_k (1 - Y_k)")),
    "11": Lesson((r"-\sum_{i \neq k} L_i \frac{1}{Y_i} (-Y_i Y_k)", r"\sum_{i \neq k} L_i Y_k")),
    "12": Lesson(
        (r"-L_k (1 - Y_k) + \sum_{i \neq k} L_i Y_k", r"-L_k + L_k Y_k + \sum_{i \neq k} L_i Y_k")
    ),
    "13": Lesson(
        (
            r"-L_k + L_k Y_k + Y_k \sum_{i \neq k} L_i",
            r"Y_k \left( L_k + \sum_{i \neq k} L_i \right) - L_k",
        )
    ),
    "14": Lesson(
        (r"Y_k \sum_{i=1}^{K} L_i - L_k", r"Y_k \cdot 1 - L_k", r"Y_k - L_k"),
        "$K$ elements, as $Z$ has.",
        r"\frac{\partial E}{\partial Z} = Y - L",
    ),
    "15": Lesson((), r"One number for each of the $H \times K$ weights."),
    "16": Lesson(
        (r"\frac{\partial E}{\partial Z_k} O_h", r"(Y_k - L_k) O_h"),
        r"$H \times 1$ times $1 \times K$ is $H \times K$, the shape of the weights.",
        r"\frac{\partial E}{\partial w} = O^{\top} (Y - L)",
    ),
    "17": Lesson((), r"$d \times H$ derivatives, each a sum of $K$ terms."),
    "18": Lesson(
        (),
        r"$1 \times K$ times $K \times H$ gives the loss by $H$ hidden outputs.",
        r"\frac{\partial E}{\partial O} = (Y - L) w^{\top}",
    ),
    "19": Lesson(
        (
            r"\frac{e^{-Z_h}}{(1 + e^{-Z_h})^{2}}",
            r"\frac{1}{1 + e^{-Z_h}} \cdot \frac{e^{-Z_h}}{1 + e^{-Z_h}}",
            r"\frac{1}{1 + e^{-Z_h}} \left( 1 - \frac{1}{1 + e^{-Z_h}} \right)",
            r"O_h (1 - O_h)",
        ),
        "$H$ elements, each by itself: a product element by element, written $\\odot$.",
        r"\frac{\partial E}{\partial Z} = \frac{\partial E}{\partial O} \odot O \odot (1 - O)",
    ),
    "20": Lesson((), r"One number for each of the $d \times H$ weights."),
    "21": Lesson(
        (
            r"\left( \sum_{k=1}^{K} \frac{\partial E}{\partial Z_k} w_{hk} \right) "
            r"O_h (1 - O_h) i_n",
            r"\left( \sum_{k=1}^{K} (Y_k - L_k) w_{hk} \right) O_h (1 - O_h) i_n",
        ),
        r"$d \times 1$ times $1 \times H$ is $d \times H$, the shape of the weights.",
        r"\frac{\partial E}{\partial w} = "
        r"i^{\top} \left( (Y - L) w^{\top} \odot O \odot (1 - O) \right)",
    ),
    "5N": Lesson((), r"$L$ and $Y$ are $N \times K$: a row an example."),
    "14N": Lesson((), r"$N \times K$."),
    "16N": Lesson((), r"$H \times N$ times $N \times K$: the product sums over the examples."),
    "bk": Lesson(
        (),
        "$K$ elements.",
        r"\frac{\partial E}{\partial b} = 1^{\top} \frac{\partial E}{\partial Z}",
    ),
    "18N": Lesson((), r"$N \times K$ times $K \times H$."),
    "19N": Lesson((), r"$N \times H$."),
    "21N": Lesson((), r"$d \times N$ times $N \times H$."),
    "bh": Lesson(
        (),
        "$H$ elements.",
        r"\frac{\partial E}{\partial b} = 1^{\top} \frac{\partial E}{\partial Z}",
    ),
    "U": Lesson((), "Each parameter has the shape of its gradient."),
}

# By the part of the derivation that they close.
QUESTIONS = {
    "Forward": (
        Question(
            "You add 7 to every logit. What becomes of $Y$, and of $E$?",
            "Nothing: by (4) the shift cancels. So the logits' derivatives sum to 0, too: no step "
            "along all of them alike changes the loss.",
        ),
        Question(
            "The label's class is given the probability 1. What is $E$?",
            "0, its least value: by (5), minus the logarithm of 1. It has no largest value.",
        ),
    ),
    "Gradient of the output layer": (
        Question(
            "Which of the derivatives (14) are negative?",
            "The label's alone: $Y - 1$ is below 0, and $Y - 0$ above. A step against the gradient "
            "raises the label's logit and lowers all others.",
        ),
        Question(
            "Why does (9) sum over all $K$ outputs, although only one label is 1?",
            "The logit $Z_k$ stands in every denominator of (4), so it moves the label's output "
            "also where $k$ is another class.",
        ),
        Question(
            "A hidden unit puts out 0. Which output weights learn nothing from this example?",
            "The $K$ weights that leave it: by (16) their gradient is a multiple of $O_h$.",
        ),
    ),
    "Gradient of the hidden layer": (
        Question(
            "A hidden unit puts out 0.999. What does that do to the weights that lead to it?",
            "They hardly learn: (19) is 0.999 times 0.001. The unit is saturated. At 0.5 it would "
            "be 0.25, the largest that there is.",
        ),
        Question(
            "All output weights start at 0. What are the first gradients of the hidden weights?",
            "All 0: by (18) the loss doesn't depend on the hidden outputs yet. After one update of "
            "the output weights it does.",
        ),
        Question(
            "All weights start equal. Can the hidden units ever become different?",
            "No: by (16) and (21) equal units have equal gradients. That is why weights are drawn "
            "at random.",
        ),
    ),
    "What the homework leaves out": (
        Question(
            "A classmate sums the loss over $N$ = 32 examples where you take the mean. Your rates "
            "are the same. Who takes the longer step?",
            "The classmate, 32 times as long: every gradient is multiplied by $N$. Divide the rate "
            "by 32, and both do the same.",
        ),
        Question(
            "By (U) the loss falls for a small enough rate. Why not always take a tiny one?",
            "The step is as tiny: by (U) the loss falls by the rate times the squared gradient. "
            "The right rate is as large as the curvature allows.",
        ),
    ),
}
