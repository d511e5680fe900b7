"""The plots of docs/benchmarks.md."""

import matplotlib

matplotlib.use("svg")
# pylint: disable=wrong-import-position
import matplotlib.pyplot as plt                 # noqa: E402

from columns import BY_NAME                     # noqa: E402

# The layer in blue, the rest in other colours.
COLOURS = {"closed": "#08519c", "sticky": "#3182bd", "closed qdisk": "#6baed6",
           "sticky qdisk": "#9ecae1", "ahci": "#d95f02", "dma": "#e6a300", "ide": "#a50f15",
           "linux": "#238b45", "layer pvh": "#2171b5", "pvh": "#756bb1", "pvh qdisk": "#bcbddc", "linux qdisk": "#74c476"}
SIZES = (1, 8, 64, 127)


def figure(height):
    """An empty plot without a frame."""
    plt.rcParams.update({"font.size": 11, "font.family": "DejaVu Sans", "svg.hashsalt": "bench"})
    fig, axes = plt.subplots(figsize=(9, height), layout="constrained")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return fig, axes


def save(fig, path):
    """Write a plot, the same bytes for the same numbers."""
    fig.savefig(path, format=path.suffix[1:], metadata={"Date": None} if path.suffix == ".svg"
                else None, facecolor="white")
    plt.close(fig)


def apart(places, distance):
    """Move places (factors of a log scale) so far apart that labels have room."""
    order, moved = sorted(places, key=places.get), dict(places)
    for below, above in zip(order, order[1:]):
        moved[above] = max(moved[above], moved[below] * distance)
    return moved


def calls(path, results, median):
    """Sequential reads: MiB/s over the sectors of a call."""
    fig, axes = figure(5.5)
    names = ["closed", "sticky", "ahci", "dma", "ide", "linux"]
    ends = {}
    for name in names:
        rates = [size / 2048 / (median(results, "int13", name, f"read-seq {size}") / 1000)
                 for size in SIZES]
        ends[name] = rates[-1]
        axes.plot(SIZES, rates, marker="o", linewidth=2.2 if name in names[:2] else 1.4,
                  color=COLOURS[name])
    axes.set(xscale="log", yscale="log", xlabel="sectors a call", ylabel="MiB/s",
             title="Sequential reads (log scales; up is faster)")
    axes.set_xticks(SIZES, [str(size) for size in SIZES])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(axis="y", color="#dddddd")
    for name, place in apart(ends, 1.35).items():
        axes.text(SIZES[-1] * 1.12, place, BY_NAME[name].title, color=COLOURS[name], va="center")
    save(fig, path)


def bars(path, results, median, title, row, measure, names, unit):
    """One bar a column, on a log scale, the fastest above."""
    found = {name: median(results, row, name, measure) for name in names}
    order = sorted(found, key=found.get, reverse=unit == "s")
    fig, axes = figure(0.36 * len(order) + 1)
    least = min(found.values()) / 2
    axes.barh([BY_NAME[name].title for name in order], [found[name] - least for name in order],
              left=least, color=[COLOURS[name] for name in order], height=0.7)
    for place, name in enumerate(order):
        value = found[name]
        text = f"{value:.0f}" if value >= 100 else f"{value:.3g}"
        axes.text(value * 1.04, place, f"{text} {unit}", va="center")
    axes.set(xscale="log")
    fig.suptitle(title, fontsize=12)
    axes.set_xlim(least, max(found.values()) * 1.8)
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    save(fig, path)


def write(directory, results, median, kind="svg"):
    """Write all plots."""
    calls(directory / f"benchmarks-int13.{kind}", results, median)
    bars(directory / f"benchmarks-grub.{kind}", results, median,
         "GRUB reads a file of 32 MiB (log scale; longer is faster)", "testspeed", "big",
         list(results["testspeed"]), "MiB/s")
    bars(directory / f"benchmarks-load.{kind}", results, median,
         "From creation to kernel entry, 60 MiB by GRUB (log scale; shorter is faster)",
         "load grub 60", "kernel", list(results["load grub 60"]), "s")
