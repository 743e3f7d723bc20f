"""How far the work is and how long the rest takes, by a clock that the test turns."""

from __future__ import annotations

import pytest

from flows.cli.display import Display
from flows.cli.pictures import Progress
from flows.cli.terminal import make_console
from flows.progress import Forecast


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_single_picture_shows_the_step_at_work(clock: Clock) -> None:
    progress = Progress(1, clock)
    progress.begin("photo.jpg")
    assert progress.left_s is None
    progress.hear("enlarge photo", 0.0)
    clock.now += 10
    progress.hear("enlarge photo", 0.25)
    assert progress.left_s == pytest.approx(30)
    assert progress.bar == 0.25
    assert "photo.jpg" in progress.what
    assert "25%" in progress.what
    progress.hear("put photo together", 0.0)
    assert progress.left_s is None


def test_of_several_the_rest_is_as_long_as_those_before(clock: Clock) -> None:
    progress = Progress(4, clock)
    for name, seconds, worked in (("a", 10, True), ("bad", 0, False), ("c", 20, True)):
        progress.begin(name)
        clock.now += seconds
        progress.end(worked=worked)
    progress.begin("d")
    assert progress.left_s == pytest.approx(15)
    clock.now += 5
    assert progress.left_s == pytest.approx(10)
    assert progress.bar == 0.75
    assert progress.what.startswith("4/4 d")
    progress.end(worked=True)
    assert progress.left_s == 0
    assert progress.what.startswith("4/4")


def test_rows_take_as_long_as_those_of_their_method(clock: Clock) -> None:
    forecast = Forecast(["quick", "slow"] * 3, clock)
    assert forecast.left_s is None
    forecast.spent(1)
    forecast.finished("quick", 1)
    assert forecast.left_s is None  # nothing is known of the slow ones
    forecast.spent(20)
    forecast.finished("slow", 20)
    clock.now += 10.5  # two steps at a time
    assert forecast.left_s == pytest.approx((2 * 1 + 2 * 20) / 2)


def test_rows_that_were_done_before_tell_of_the_cost_but_not_of_the_pace(clock: Clock) -> None:
    forecast = Forecast(["slow"] * 4, clock)
    forecast.finished("slow", 20)
    clock.now += 1
    assert forecast.left_s is None
    forecast.spent(10)
    forecast.finished("slow", 10)
    clock.now += 9
    assert forecast.left_s == pytest.approx(2 * 15)


def test_without_a_terminal_there_is_a_plain_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setattr("flows.cli.display.time.monotonic", clock)
    for quiet in (False, True):
        display = Display(quiet)
        with display.shown():
            for _ in range(100):
                clock.now += 0.25
                display.show(("at work", 0.5, 7.0))
        display.line("result")
        display.error("fault")
        out, err = capsys.readouterr()
        assert err.count("at work") == (0 if quiet else 2)
        assert ("result" in out) is not quiet
        assert "fault" in err


def test_log_lines_are_shown_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    import logging

    log = logging.getLogger("mkgan_core")
    for verbose in (True, False):
        with Display(verbose=verbose).shown():
            log.info("a step was done")
        assert ("a step was done" in capsys.readouterr().err) is verbose


def test_texts_are_printed_as_they_are_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Brackets and stars are no markup; line breaks, control characters and passwords do not come through."""
    display, console = Display(), make_console()
    for text in ("[red]x.png", "d[/b]/x.png", "star*[a] :smile:"):
        display.line(text)
        display.error(text)
        console.print(text)
        out, err = capsys.readouterr()
        assert out == f"{text}\n{text}\n"
        assert err == f"error: {text}\n"
    display.line("a\nb\x1b[2J http://alice:secretpw@h/x")
    display.error_list("heading", ["a\nb"])
    out, err = capsys.readouterr()
    assert out == "a b\\x1b[2J http://***@h/x\n"
    assert err == "heading\n  a b\n"
