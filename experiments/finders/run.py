"""`make finders`: what each rule for the learning rate loses on the tasks, against dense sweeps."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from clock import Clock, work
from dense import dense_sweep
from picks import Pick, all_picks
from regret import Truth, regret, window_hits
from table import Judged, draw_regrets, known_tasks_json, lines, tables
from tasks import Task, make_task, read_tasks

from jax_backprop.cli.console import use_all_cores
from jax_backprop.storage import write_atomic

RULE = 4  # raised whenever our rule changes: what was picked by another is picked again


def main() -> None:
    """Run what isn't there yet, then write the table, the picture and the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--originals", type=Path, help="folder with mnist/ and fashion_mnist/")
    parser.add_argument("--tasks", nargs="*", help="only these")
    parser.add_argument("--publish", type=Path, help="where find-rate reads what its rule lost")
    args = parser.parse_args()
    use_all_cores()
    common, settings = read_tasks()
    seeds, judges = common["finder_seeds"], common["judge_seeds"]
    made = {n: make_task(n, settings[n], args.originals) for n in args.tasks or settings}
    skipped = [f"{name} is left out: {why}" for name, why in made.items() if isinstance(why, str)]
    tasks = {name: task for name, task in made.items() if isinstance(task, Task)}
    judged, clock = [], Clock([work(task) for task in tasks.values()])
    for name, task in tasks.items():
        truth = dense_sweep(task, seeds, judges, args.out / name / "dense")
        picks = kept_picks(args.out / name / "picks.json", lambda t=task: all_picks(t, seeds))
        judged += judge(name, task.half, truth, [*picks, *oracle(truth)])
        print(f"{name}: best rate {truth.rates[truth.best]:.3g}; {clock.tick()}", flush=True)
    report(judged, skipped, args.out, settings)
    if args.publish is not None:
        write_atomic(args.publish, json.dumps(known_tasks_json(judged, settings), indent=1) + "\n")


def kept_picks(path: Path, make) -> list[Pick]:
    """Return the picks of a task, from the file if this rule's are there."""
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["rule"] == RULE:
            return [Pick(**row) for row in found["picks"]]
    picks = make()
    write_atomic(path, json.dumps({"rule": RULE, "picks": [pick._asdict() for pick in picks]}))
    return picks


def oracle(truth: Truth) -> list[Pick]:
    """Return what the dense sweep of one seed recommends, as a rule's picks."""
    cost = float(len(truth.rates))
    return [
        Pick("dense sweep", "one seed", seed, float(rate), cost)
        for seed, rate in enumerate(truth.oracle)
    ]


def judge(name: str, half: str, truth: Truth, picks: list[Pick]) -> list[Judged]:
    """Return each pick with its regret; None where nothing was recommended."""
    return [
        Judged(
            name,
            half,
            truth.is_learned,
            pick,
            None if pick.rate is None else regret(truth, pick.rate),
            None if pick.window is None else window_hits(truth, (pick.window[0], pick.window[1])),
        )
        for pick in picks
    ]


def report(judged: list[Judged], skipped: list[str], out: Path, settings: dict) -> None:
    """Write the draws, the figure and the page; print the table's first lines."""
    from picture import CAPTION, chart

    from jax_backprop.report.drawing import write_chart
    from jax_backprop.report.finding import Figure, render

    write_atomic(out / "regret.json", json.dumps(draw_regrets(judged), indent=1) + "\n")
    svg = write_chart(out, "regret", chart(judged).to_dict())[0].read_text(encoding="utf-8")
    said = [*lines(judged, settings), *skipped]
    page = render(
        "What a rule for the learning rate loses", said, [Figure(CAPTION, svg)], tables(judged)
    )
    write_atomic(out / "regret.html", page)
    print("\n".join(said))
    print(f"Page: {out / 'regret.html'}")


if __name__ == "__main__":
    main()
