"""Charts: what is drawn is what was given, any text is escaped, nothing needs a style, and few bytes are sent."""

import json
import re
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from hookvault.admin.charts import bars, export, heat, lines, ranks, spark, table, timing
from hookvault.admin.charts.series import Series, Timeline
from hookvault.analytics.model import Timing

START = datetime(2026, 11, 25, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
NASTY = """<script>alert("x")</script> & 'quotes' \x00 \ud800 > ]]>"""
counts = st.lists(
    st.tuples(*[st.one_of(st.none(), st.integers(0, 10**9), st.floats(allow_nan=True, allow_infinity=True))] * 2),
    max_size=40,
)


def timeline(*columns, unit="count", names=("Successful", "Failed", "p99"), title="Calls by result"):
    kinds = ("ok", "fail", "p99")
    series = [Series(*one) for one in zip(names, kinds, columns, strict=False)]
    times = [START + HOUR * index for index in range(len(columns[0]))]
    return Timeline(title, times, START + HOUR * len(times), series, "hour", ZoneInfo("Europe/Berlin"), unit)


def parsed(markup):
    return read(f"<div>{markup}</div>")


def read(text):
    return ET.fromstring(text)  # noqa: S314 our own markup


def rectangles(chart):
    """Of each series, by the point it stands at: x, y, width, height."""
    found = []
    for group in parsed(chart).findall(".//g[@class='chart-bars']/g"):
        shapes = [[float(r.get(name).rstrip("%")) for name in ("x", "y", "width", "height")] for r in group]
        found.append(shapes)
    return found


def every_chart(text=NASTY):
    """Each kind of chart, with this text wherever a text may stand."""
    chart = timeline([3, 0, None], [1, 2, 0], names=(text, text), title=text)
    empty = Timeline(text, [], START, [Series(text, "ok", [])], empty=text)
    cells = {(1, 0): 3.0, (7, 23): 1.0}
    bars_in_order = [ranks.Rank(text, 3, 0.5, "fail", f"/{text}", text), ranks.Rank(text, None)]
    return {
        "bars": bars.stacked(chart),
        "bars, none": bars.stacked(empty),
        "bars, many": bars.stacked(timeline([3] * 2000, [1] * 2000, names=(text, text))),
        "lines": lines.lined(chart),
        "lines, none": lines.lined(empty),
        "spark": spark.spark_bars([1, 0, 2], [0, 0, 1], label=text),
        "area": spark.spark_area([1, None, 2, 3], label=text),
        "heat": heat.heated(heat.Week(text, cells, text)),
        "ranks": ranks.ranked(ranks.Ranking(text, bars_in_order, text, text)),
        "ranks, none": ranks.ranked(ranks.Ranking(text, [], text, text, empty=text)),
        "table": table.timeline_table(chart, totals=True),
        "week": table.week_table(heat.Week(text, cells, text)),
        "table of ranks": table.ranks_table(ranks.Ranking(text, bars_in_order, text, text, note=text)),
    }


@pytest.mark.parametrize("name", every_chart())
def test_any_text_is_escaped_and_no_style_or_script_is_needed(name):
    markup = every_chart()[name]
    assert isinstance(markup, Markup)
    assert (
        re.search(r"\sstyle=|<style|<script|\son\w+=|javascript:", re.sub(r"='[^']*'|=\"[^\"]*\"", "=", markup)) is None
    )
    assert "<script" not in markup
    tree = parsed(markup)
    assert not {element.tag for element in tree.iter()} & {"script", "style"}
    texts = [*tree.itertext(), *(value for element in tree.iter() for value in element.attrib.values())]
    assert any("""<script>alert("x")</script> & 'quotes' \ufffd \ufffd > ]]>""" in text for text in texts)


@pytest.mark.parametrize("name", ["bars", "lines", "heat"])
def test_a_chart_with_a_read_out_takes_the_focus_and_says_what_it_shows(name):
    tree = parsed(every_chart("Calls")[name])
    figure, plot = tree.find("figure"), tree.find(".//div[@class='chart-plot']")
    assert json.loads(figure.get("data-chart"))["series"][0]["n"] == "Calls"
    assert (plot.get("tabindex"), plot.get("role")) == ("0", "img")
    assert "Calls" in plot.get("aria-label")


@pytest.mark.parametrize("name", ["spark", "area"])
def test_a_small_chart_says_what_it_shows(name):
    assert [e.get("aria-label") for e in parsed(every_chart("Calls")[name]).iter("svg") if e.get("role") == "img"] != [
        None
    ]


def test_a_chart_is_told_in_words():
    told = timeline([5, 900, 0], [0, 0, 0]).told(summed=True)
    assert told == (
        "Calls by result, 25 Nov 09:00 to 25 Nov 11:00 (Europe/Berlin). "
        "Successful: 905 in total, highest 900 at 25 Nov 10:00, lowest 0 at 25 Nov 11:00. "
        "Failed: 0 in total, 0 throughout."
    )
    assert "in total" not in timeline([152, None], unit="ms").told(summed=False)
    assert timeline([]).told(summed=True) == "Calls by result: Nothing in this period."


def test_the_read_out_has_times_and_values():
    data = timeline([1, None, 2.25], [0, 1, float("nan")]).data(stacked=True)
    assert (data["start"], data["step"], data["end"]) == (
        "2026-11-25T08:00:00+00:00",
        3600,
        "2026-11-25T11:00:00+00:00",
    )
    assert [one["v"] for one in data["series"]] == [[1, None, 2.2], [0, 1, None]]
    assert data["total"]


def test_points_of_unlike_length_carry_their_times():
    times = [START, START + HOUR, START + 3 * HOUR]
    data = Timeline("Calls", times, START + 4 * HOUR, [Series("a", "ok", [1, 2, 3])]).data(stacked=True)
    assert data["at"] == [0, 3600, 10800]
    assert "step" not in data


def test_bars_are_as_high_as_their_values():
    good, bad = rectangles(bars.stacked(timeline([400, 100, 0], [100, 0, 0])))
    assert [shape[1:4:2] for shape in good] == [[40, 160], [160, 40]]
    assert [shape[1:4:2] for shape in bad] == [[0, 39]]  # less the gap between the two
    assert bad[0][0] == good[0][0]


@given(counts)
def test_bars_stay_in_the_plot_and_do_not_overlap(points):
    good, bad = ([point[side] for point in points] for side in (0, 1))
    shapes = rectangles(bars.stacked(timeline(good, bad)))
    for series in shapes:
        assert all(x >= 0 and x + width <= 100.02 and y >= -0.01 and height > 0 for x, y, width, height in series)
        assert all(left[0] + left[2] <= right[0] + 0.01 for left, right in pairwise(series))
    # Upon one another, and together no higher than the plot.
    feet = {x: (y, height) for x, y, _, height in (shapes[0] if shapes else [])}
    for x, y, _, height in shapes[1] if shapes else []:
        assert y + height <= feet.get(x, (200, 0))[0] + 0.02


def test_one_failure_among_thousands_is_seen():
    _, bad = rectangles(bars.stacked(timeline([100_000] * 10, [1] + [0] * 9)))
    assert bad[0][3] >= 1


def test_many_bars_are_an_outline_that_keeps_every_point():
    good, bad = [index % 7 for index in range(2000)], [index % 3 for index in range(2000)]
    markup = bars.stacked(timeline(good, bad))
    box = parsed(markup).find(".//svg[@class='chart-bars']")
    width, tall = (int(n) for n in box.get("viewBox").split()[2:])
    heights = []
    for path in box:
        steps = re.findall(r"V(\d+)h(\d+)", path.get("d"))
        heights.append([tall - int(y) for y, count in steps for _ in range(int(count))])
    top = max(a + b for a, b in zip(good, bad, strict=True))
    assert width == len(heights[0]) == len(heights[1]) == 2000
    assert heights[0] == [round((a + b) / top * tall) for a, b in zip(good, bad, strict=True)]
    assert heights[1] == [round(a / top * tall) for a in good]


def test_lines_have_gaps_where_nothing_is_known_and_dots_between_gaps():
    values = [100, 120, 90, None, 80, None, 70, 60]
    tree = parsed(lines.lined(timeline(values, [v and v * 3 for v in values], unit="ms")))
    path, dot = tree.find(".//path[@class='c-ok']"), tree.find(".//path[@class='c-ok dot']")
    assert len(re.findall("M", path.get("d"))) == 2
    assert dot.get("d").startswith("M90 ")
    assert len(re.findall("z", tree.find(".//path[@class='chart-band']").get("d"))) == 2


@given(counts)
def test_lines_stay_in_the_plot(points):
    tree = parsed(lines.lined(timeline([p[0] for p in points], [p[1] for p in points], unit="ms"), band=False))
    for path in tree.findall(".//svg[@class='chart-lines']/path"):
        for x, y in re.findall(r"([\d.-]+) ([\d.-]+)(?=[MChl]|$)", path.get("d").replace("h.01", "")):
            if "l" not in path.get("d"):
                assert 0 <= float(x) <= max(len(points), 1) * 20
                assert -0.1 <= float(y) <= 800.1


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), max_size=30))
def test_a_sparkline_shows_every_part_within_its_height(points):
    tree = parsed(spark.spark_bars([p[0] for p in points], [p[1] for p in points]))
    drawn = {path.get("class"): path.get("d") for path in tree.iter("path")}
    heights = {
        kind: [int(n) for n in re.findall(r"v-(\d+)", drawn.get(kind, ""))] for kind in ("c-ok", "c-fail", "c-none")
    }
    assert len(heights["c-ok"]) == sum(ok > 0 for ok, _ in points)
    assert len(heights["c-fail"]) == sum(bad > 0 for _, bad in points)
    assert len(heights["c-none"]) == sum(ok + bad == 0 for ok, bad in points)
    assert all(1 <= height <= 22 for kind in heights.values() for height in kind)
    for foot, tall in re.findall(r" 22m0-(\d+)v-(\d+)", drawn.get("c-fail", "")):
        assert int(foot) + int(tall) <= 22


@pytest.mark.parametrize("values", [[], [5], [0, 0], [None, None], [1, None, 3], [10**9, 1], [0.99, 0.991, 0.7]])
@pytest.mark.parametrize("floor", [0, None])
def test_a_small_area_takes_any_values(values, floor):
    tree = parsed(spark.spark_area(values, "p95", label="p95", floor=floor))
    for path in tree.iter("path"):
        assert all(0 <= float(n) <= 200.1 for n in re.findall(r"-?[\d.]+", path.get("d").split("l")[0]))


def test_heat_is_deeper_the_more():
    values = {(6, 22): 19, (3, 10): 11, (1, 0): 1, (2, 5): float("nan")}
    tree = parsed(heat.heated(heat.Week("Failures", values, "Failed")))
    cells = {group.get("class"): len(group) for group in tree.findall(".//svg/g") if group.get("class") != "chart-x"}
    assert cells == {"heat0": 165, "heat1": 1, "heat3": 1, "heat5": 1}
    told = tree.find(".//div[@class='chart-plot']").get("aria-label")
    assert told == "Failures. Failed: 31 in total, most on Sat at 22:00 (19), none in 165 of 168 hours."
    values = json.loads(tree.find("figure").get("data-chart"))["series"][0]["v"]
    assert values[5 * 24 + 22] == 19


def test_ranks_are_as_long_as_their_values():
    three = [ranks.Rank("a", 200, 0.8, "fail"), ranks.Rank("b", 50, 0.2), ranks.Rank("c", None)]
    tree = parsed(ranks.ranked(ranks.Ranking("Failed", three, "Cause", "Calls")))
    bars_of = [[r.get("width") for r in item.iter("rect")][1:] for item in tree.iter("li")]
    assert bars_of == [["100%"], ["25%"], []]
    assert [span.text for span in tree.iter("span") if span.get("class") == "rank-share"] == ["80%", "20%"]


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e7)), min_size=5, max_size=5))
def test_phases_fill_the_bar_in_order(times):
    markup = timing.phased(Timing(*times))
    shapes = [(float(r.get("x")[:-1]), float(r.get("width")[:-1])) for r in parsed(markup).iter("rect")]
    assert len(shapes) == sum(1 for ms in times if ms)
    if shapes:
        assert sum(width for _, width in shapes) == pytest.approx(100, abs=0.05)
        assert all(x + width == pytest.approx(after, abs=0.02) for (x, width), (after, _) in pairwise(shapes))


def test_the_table_behind_a_chart_has_its_numbers():
    tree = parsed(table.timeline_table(timeline([12431, None], [572, 1]), totals=True))
    rows = [[cell.text for cell in row] for row in tree.iter("tr")]
    assert rows == [
        ["Time (Europe/Berlin)", "Successful", "Failed", "Total"],
        ["25 Nov 09:00", "12,431", "572", "13,003"],
        ["25 Nov 10:00", "\u2013", "1", "1"],
    ]


def test_the_table_behind_ranks_has_their_notes_and_shares_where_any_has():
    three = [ranks.Rank("a", 200, 0.8, note="often"), ranks.Rank("b", 1752, None), ranks.Rank("c", None)]
    tree = parsed(table.ranks_table(ranks.Ranking("Slow", three, "Webhook", "p95", unit="ms")))
    assert [[cell.text for cell in row] for row in tree.iter("tr")] == [
        ["Webhook", "p95", "Share", "Note"],
        ["a", "200 ms", "80%", "often"],
        ["b", "1.75 s", "\u2013", None],
        ["c", "\u2013", "\u2013", None],
    ]
    bare = parsed(table.ranks_table(ranks.Ranking("Slow", [ranks.Rank("a", 2)], "Webhook", "Calls")))
    assert [[cell.text for cell in row] for row in bare.iter("tr")] == [["Webhook", "Calls"], ["a", "2"]]


def test_a_long_table_says_what_it_leaves_out():
    markup = table.timeline_table(timeline([1] * 2000))
    assert markup.count("<tr>") == 401
    assert "1,600 more rows are not shown." in markup


def week_file(chart):
    """The map of heat as a file, with texts and values of a timeline."""
    values = {(index % 7 + 1, index % 24): value for index, value in enumerate(chart.series[0].values)}
    return export.week_file(heat.Week(chart.title, values, chart.title), span=chart.title, whose=chart.title)


def ranks_file(chart):
    """Bars in order as a file, with texts and values of a timeline."""
    some = [ranks.Rank(chart.title, value, 0.5, note=chart.title) for value in chart.series[0].values[:10]]
    ranking = ranks.Ranking(chart.title, some, chart.title, chart.title)
    return export.ranks_file(ranking, span=chart.title, whose=chart.title)


@pytest.mark.parametrize("points", [0, 1, 48, 2000])
@pytest.mark.parametrize("drawn", [export.bars_file, export.lines_file, week_file, ranks_file])
def test_a_file_stands_by_itself(drawn, points):
    file = drawn(timeline([3] * points, [1] * points, names=(NASTY, "Failed"), title=NASTY))
    tree = read(file.encode())
    space = "{http://www.w3.org/2000/svg}"
    assert tree.tag == f"{space}svg"
    assert tree.find(f"{space}title").text.startswith("<script>")
    colours = ET.tostring(tree, encoding="unicode")
    assert all(f"c-{kind}{{" in colours for kind in re.findall(r'class="[^"]*\bc-(\w+)"', file))
    assert "#5b5fe0" in tree.find(f"{space}style").text
    assert re.search(r"var\(|href|url\(|<script", file) is None
    assert {element.tag.removeprefix(space) for element in tree.iter()} <= {
        *("svg", "title", "desc", "style", "rect", "text", "g", "line", "path"),
    }


@pytest.mark.parametrize("drawn", [bars.stacked, lines.lined, export.bars_file, export.lines_file])
@pytest.mark.parametrize(
    "column",
    [[], [0], [7], [0] * 24, [None] * 24, [10**9] * 3, [1e300, 1e-300], [5] * 400, [5] * 401, [-3, float("inf")]],
)
def test_edges_draw_something_that_parses(drawn, column):
    chart = timeline(column, column, column)
    markup = drawn(chart)
    assert read(markup.encode() if markup.startswith("<?") else markup) is not None
    assert re.search(r"\bnan\b|\binf\b", markup) is None
    assert (chart.empty in re.sub(r'aria-label="[^"]*"|<desc>.*</desc>', "", markup)) == chart.blank


@pytest.mark.parametrize("value", [0, 7, 10**9, 1e300, -3, float("inf"), float("nan"), None])
def test_edges_make_files_of_weeks_and_ranks(value):
    week = heat.Week("Failures", {(1, 0): value, (2, 1): 3} if value else {}, "Failed")
    ranking = ranks.Ranking("Slow", [ranks.Rank("a", value), ranks.Rank("b", value, 1)], "Webhook", "p95", unit="ms")
    for file in (export.week_file(week, span="now"), export.ranks_file(ranking, span="now")):
        assert read(file.encode()) is not None
        assert re.search(r"\bnan\b|\binf\b|None", file) is None
        assert "All tenants" in file


def test_files_of_ranks_and_weeks_say_what_they_show():
    long = ranks.Ranking("Slow", [ranks.Rank("n" * 300, 1752, 0.25, "p95")], "Webhook", "p95", unit="ms")
    file = export.ranks_file(long, span="1 Nov to 2 Nov", whose="acme, orders")
    shown = [element.text for element in read(file.encode()).iter() if element.tag.endswith("}text")]
    assert shown == ["Slow", "1 Nov to 2 Nov", "acme, orders", "p95", f"{'n' * 119}\u2026", "1.75 s (25%)"]
    assert "<title>Slow, acme, orders</title>" in file
    none = export.ranks_file(ranks.Ranking("Slow", [], "Webhook", "p95", empty="Nothing was slow."), span="today")
    assert ">Nothing was slow.</text>" in none
    week = export.week_file(heat.Week("Failures", {(1, 0): 4}, "Failed"), span="today")
    assert ">Failed: none to 4 in an hour</text>" in week
    assert len(re.findall(r"<text[^>]*>(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)</text>", week)) == 7
    two = read(export.week_file(heat.Week("Failures", {(1, 0): 5, (7, 23): 2}, "Failed"), span="today").encode())
    groups = {each.get("class"): len(each) for each in two.iter("{http://www.w3.org/2000/svg}g")}
    assert [groups[f"heat{depth}"] for depth in (0, 2, 5)] == [166, 1, 1]


def test_bytes_are_bounded():
    busy = [[400 + index * 7 % 90 for index in range(60)], [index * 3 % 50 + 1 for index in range(60)]]
    assert len(bars.stacked(timeline(*busy))) < 12_000
    assert len(lines.lined(timeline(*busy, busy[0], unit="ms"))) < 16_000
    assert len(spark.spark_bars(busy[0][:24], busy[1][:24])) < 2_000
    many = [[index * 7919 % 997 for index in range(2000)]] * 3
    assert len(bars.stacked(timeline(*many[:2]))) < 64_000
    assert len(lines.lined(timeline(*many, unit="ms"))) < 100_000


def test_two_dozen_sparklines_take_little_time():
    columns = list(range(24)), [1] * 24
    best = 1.0
    for _ in range(20):
        began = time.process_time()
        for _ in range(24):
            spark.spark_bars(*columns)
        best = min(best, time.process_time() - began)
    assert best < 0.003
