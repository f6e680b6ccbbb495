"""The picture of a soak: memory, backlogs and syncs over time, and what went wrong when, as an SVG that is read on light and on dark."""
import math

WIDTH, LEFT, RIGHT = 960, 64, 150
PANEL, GAP, TOP = 150, 34, 34
COLOURS = ("#2f81f7", "#d29922", "#3fb950", "#f85149", "#a371f7", "#db61a2", "#1b9e9e", "#8b6f47")
ROWS = ("targets", "network", "devices", "rubbish", "reloads")
ROW = 14
STRETCHES = 400
STYLE = """
text { font: 12px sans-serif; fill: #1f2328 } .paper { fill: #ffffff } .grid { stroke: #d0d7de; stroke-width: 1 } .title { font-weight: bold }
.line { fill: none; stroke-width: 1.4; stroke-linejoin: round } .calm { stroke: #57606a; stroke-width: 4; stroke-linecap: round }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .paper { fill: #0d1117 } .grid { stroke: #30363d } .calm { stroke: #9198a1 } }
"""


def steps(most, wanted=4):
    """Round numbers from 0 to at least `most`."""
    size = 10 ** math.floor(math.log10(max(most, 1e-9) / wanted))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor * wanted >= most)
    return [step * i for i in range(math.ceil(most / step - 1e-9) + 1)]


def number(value):
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"


class Picture:
    def __init__(self, minutes, height):
        self.minutes, self.parts = minutes, []
        self.parts.append(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">'
                          f'<style>{STYLE}</style><rect class="paper" width="{WIDTH}" height="{height}"/>')

    def x(self, seconds):
        return LEFT + seconds / 60 / self.minutes * (WIDTH - LEFT - RIGHT)

    def text(self, x, y, text, more=""):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" {more}>{text}</text>')

    def panel(self, top, title, most):
        """Returns how a value becomes a height."""
        marks = steps(most)
        self.text(LEFT, top - 8, title, 'class="title"')

        def y(value):
            return top + PANEL - value / marks[-1] * PANEL
        for mark in marks:
            self.parts.append(f'<path class="grid" d="M{LEFT} {y(mark):.1f}H{WIDTH - RIGHT}"/>')
            self.text(LEFT - 6, y(mark) + 4, number(mark), 'text-anchor="end"')
        return y

    def line(self, points, y, colour):
        """The greatest of each stretch of time; points in the middle of a straight stretch are left out."""
        points = greatest(points)
        kept = [point for at, point in enumerate(points) if at in (0, len(points) - 1) or not points[at - 1][1] == point[1] == points[at + 1][1]]
        way = "L".join(f"{self.x(seconds):.1f} {y(value):.1f}" for seconds, value in kept)
        self.parts.append(f'<path class="line" stroke="{colour}" d="M{way}"/>')

    def strokes(self, ways, colour, width, more=""):
        if ways:
            self.parts.append(f'<path stroke="{colour}" stroke-width="{width}" {more} d="{"".join(ways)}"/>')

    def legend(self, top, entries):
        for at, (name, colour) in enumerate(entries):
            y = top + 6 + at * 17
            self.parts.append(f'<path stroke="{colour}" stroke-width="3" d="M{WIDTH - RIGHT + 14} {y}h16"/>')
            self.text(WIDTH - RIGHT + 36, y + 4, name)

    def time_axis(self, y):
        for mark in steps(self.minutes, 6):
            if mark <= self.minutes:
                self.text(self.x(mark * 60), y, number(mark), 'text-anchor="middle"')
        self.text((LEFT + WIDTH - RIGHT) / 2, y + 17, "minutes", 'text-anchor="middle"')

    def end(self):
        return "\n".join([*self.parts, "</svg>"]) + "\n"


def greatest(points):
    """At most STRETCHES points."""
    if len(points) <= STRETCHES:
        return points
    size = math.ceil(len(points) / STRETCHES)
    return [max(points[at:at + size], key=lambda point: point[1]) for at in range(0, len(points), size)]


def rates(samples, name):
    pairs = zip(samples, samples[1:])
    return [(later["seconds"], (later[name] - earlier[name]) / (later["seconds"] - earlier["seconds"])) for earlier, later in pairs]


def draw_memory(picture, top, samples):
    lines = (("resident", "rss_kib"), ("anonymous", "anonymous_kib"))
    y = picture.panel(top, "Memory, MiB (dots: in the calm end of a round)", max(sample["rss_kib"] for sample in samples) / 1024)
    for (_, name), colour in zip(lines, COLOURS):
        picture.line([(sample["seconds"], sample[name] / 1024) for sample in samples], y, colour)
    dots = [f'M{picture.x(sample["seconds"]):.1f} {y(sample["anonymous_kib"] / 1024):.1f}h0' for sample in samples if sample["calm"]]
    picture.parts.append(f'<path class="calm" d="{"".join(dots)}"/>')
    picture.legend(top, [(title, colour) for (title, _), colour in zip(lines, COLOURS)])


def draw_backlogs(picture, top, samples, uplinks):
    y = picture.panel(top, "Backlog by uplink, records", max(sample[f"backlog_{uplink}"] for sample in samples for uplink in uplinks))
    for uplink, colour in zip(uplinks, COLOURS):
        picture.line([(sample["seconds"], sample[f"backlog_{uplink}"]) for sample in samples], y, colour)
    picture.legend(top, list(zip(uplinks, COLOURS)))


def draw_syncs(picture, top, samples):
    syncs = rates(samples, "syncs")
    y = picture.panel(top, "Syncs of the log, a second", max(value for _, value in syncs))
    picture.line(syncs, y, COLOURS[0])


def draw_faults(picture, top, marks):
    """A bar from begin to end, and a stroke at the begin."""
    picture.text(LEFT, top - 8, "What went wrong", 'class="title"')
    for at, (row, colour) in enumerate(zip(ROWS, COLOURS)):
        y, begins, bars, open_faults = top + at * ROW, [], [], {}
        for mark in (mark for mark in marks if mark["row"] == row):
            x = picture.x(mark["seconds"])
            if mark["what"] == "begin":
                open_faults[mark["fault"]] = x
                begins.append(f"M{x:.1f} {y}v9")
            elif (began := open_faults.pop(mark["fault"], None)) is not None:
                bars.append(f"M{began:.1f} {y + 4.5}h{x - began:.1f}")
        picture.strokes(bars, colour, 5, 'opacity="0.6"')
        picture.strokes(begins, colour, 1)
        picture.text(WIDTH - RIGHT + 14, y + 9, row)


def draw(samples, marks, uplinks):
    tops = [TOP + i * (PANEL + GAP) for i in range(4)]
    height = tops[3] + len(ROWS) * ROW + 48
    picture = Picture(samples[-1]["seconds"] / 60, height)
    draw_memory(picture, tops[0], samples)
    draw_backlogs(picture, tops[1], samples, uplinks)
    draw_syncs(picture, tops[2], samples)
    draw_faults(picture, tops[3], marks)
    picture.time_axis(height - 26)
    return picture.end()


def write(path, samples, marks, uplinks):
    path.write_text(draw(samples, marks, uplinks), encoding="utf-8")
