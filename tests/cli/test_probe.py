"""The shared parts of the command line as a user meets them, around a command that only pretends to work (probe.cpp)."""
import fcntl
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import termios
import time

import pytest

BUILD = pathlib.Path(os.environ.get("UNNOISE_BUILD", pathlib.Path(__file__).resolve().parents[2] / "build"))
PROBE = str(BUILD / "cli_probe")
PLAIN = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TERM": "xterm"}


def run(*args, **kwargs):
    return subprocess.run([PROBE, *args], capture_output=True, text=True, env=PLAIN, **kwargs)


class Terminal:
    """The probe on a pseudo terminal, and a screen that understands what it writes there."""

    def __init__(self, *args, columns=80, env=PLAIN):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(PROBE, [PROBE, *args], env)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.output = ""

    def read_until(self, text=None, seconds=20):
        """Reads until `text` has come, or to the end."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and (text is None or text not in self.output):
            if not select.select([self.fd], [], [], 0.1)[0]:
                continue
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                break
            if not data:
                break
            self.output += data.decode()
        assert text is None or text in self.output, self.output
        return self.output

    def exit_code(self):
        self.read_until()
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def screen(self):
        """The lines that stay: carriage return goes back, escape K clears to the end."""
        lines, at = [""], 0
        for token in re.findall(r"\x1b\[[0-9;]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", self.output):
            if token == "\n":
                lines.append("")
                at = 0
            elif token == "\r":
                at = 0
            elif token == "\x1b[K":
                lines[-1] = lines[-1][:at]
            elif not token.startswith("\x1b"):
                lines[-1] = lines[-1][:at] + token + lines[-1][at + len(token):]
                at += len(token)
        return lines


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_results_go_to_stdout_and_the_rest_to_stderr():
    done = run("paint", "--num_coats=3", "--layers", "5,6")
    assert done.returncode == 0
    assert json.loads(done.stdout)["layers"] == [5, 6]
    assert done.stderr.splitlines() == ["half of the wall is done", "warning: little paint is left",
                                        "paint  100%  3/3  colour red  12.5 pictures/s"]


@pytest.mark.parametrize("kind,code,text", [
    ("usage", 2, "error: no such wall\nhint: Build one.\n"),
    ("data", 3, "error: the wall is a curtain\n"),
    ("environment", 4, "error: it rains\n"),
    ("bug", 1, "error: internal: brush is null\nhint: This is a bug"),
    ("torch", 1, "error: internal: shape mismatch\nhint: This is a bug"),
    ("memory", 4, "error: out of memory\nhint: Try a smaller"),
])
def test_exit_codes_and_messages(kind, code, text):
    done = run("paint", "--fail", kind)
    assert done.returncode == code and done.stdout == ""
    assert done.stderr.startswith(text)
    assert "frame #0" not in done.stderr and "\x1b" not in done.stderr


def test_a_full_disk_behind_stdout_is_an_error():
    with open("/dev/full", "w") as full:
        done = subprocess.run([PROBE, "paint"], stdout=full, stderr=subprocess.PIPE, text=True, env=PLAIN)
    assert done.returncode == 4 and "cannot write to standard output" in done.stderr


def test_plain_lines_come_now_and_then():
    done = run("paint", "--num-coats", "300", "--step-ms", "10")  # 3 s: at most one line a second, and the last
    lines = [line for line in done.stderr.splitlines() if line.startswith("paint")]
    assert 2 <= len(lines) <= 4, lines
    assert re.fullmatch(r"paint +\d+% +\d+/300  colour red  12\.5 pictures/s  \dm \d\ds left", lines[0])
    assert lines[-1] == "paint  100%  300/300  colour red  12.5 pictures/s"


@pytest.mark.parametrize("columns", [200, 80, 40, 20])
def test_one_line_is_redrawn_on_a_terminal(columns):
    terminal = Terminal("paint", "--num-coats", "40", "--step-ms", "20", columns=columns)
    assert terminal.exit_code() == 0
    drawn = [part for part in terminal.output.split("\r") if "paint" in part and "%" in part]
    assert len(drawn) >= 4  # 0.8 s of work, ten a second at most
    assert len(drawn) <= 16
    assert all(len(plain(part).split("\x1b")[0].rstrip("\n")) < columns for part in drawn)
    lines = [line for line in terminal.screen() if line]
    # The log lines passed above, whole; one progress line is left, complete; then the result.
    assert lines[0] == "half of the wall is done"
    assert lines[1] == "warning: little paint is left"
    assert lines[2].startswith("paint")
    if columns >= 40:
        assert "100%" in lines[2] and "40/40" in lines[2]
    assert lines[3].startswith("{") and len(lines) == 4


def test_the_line_needs_neither_unicode_nor_colour():
    terminal = Terminal("paint", "--num-coats", "10", env={**PLAIN, "LC_ALL": "C", "NO_COLOR": "1"})
    assert terminal.exit_code() == 0
    assert terminal.output.isascii() and "[####" in terminal.output
    assert "\x1b[3" not in terminal.output
    dumb = Terminal("paint", "--num-coats", "10", env={**PLAIN, "TERM": "dumb"})
    assert dumb.exit_code() == 0
    assert "\x1b" not in dumb.output


def test_errors_are_coloured_only_on_a_terminal():
    terminal = Terminal("paint", "--fail", "usage")
    assert terminal.exit_code() == 2
    assert "\x1b[1;31merror:\x1b[0m no such wall" in terminal.output
    plain_terminal = Terminal("paint", "--fail", "usage", env={**PLAIN, "NO_COLOR": "1"})
    assert plain_terminal.exit_code() == 2
    assert "error: no such wall" in plain_terminal.output and "\x1b" not in plain_terminal.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_finishes_the_step_and_saves(number):
    process = subprocess.Popen([PROBE, "paint", "--num-coats", "1000", "--step-ms", "300"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, env=PLAIN)
    time.sleep(0.5)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130 and out == ""
    assert err == "finishing the step and saving; press Ctrl-C again to quit at once\nsaved\n"


def test_the_second_signal_quits_at_once():
    process = subprocess.Popen([PROBE, "paint", "--num-coats", "2", "--step-ms", "30000"], stderr=subprocess.PIPE,
                               text=True, env=PLAIN)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    assert process.stderr.readline().startswith("finishing the step")
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130
    assert time.monotonic() - started < 5
    process.stderr.close()


def test_ctrl_c_on_a_terminal_keeps_the_screen_clean():
    terminal = Terminal("paint", "--num-coats", "1000", "--step-ms", "50")
    terminal.read_until("%")
    time.sleep(0.3)
    os.write(terminal.fd, b"\x03")
    assert terminal.exit_code() == 130
    lines = [line for line in terminal.screen() if line]
    assert lines[0] == "finishing the step and saving; press Ctrl-C again to quit at once"
    assert lines[1] == "saved"
    assert lines[2].startswith("paint") and len(lines) == 3


def test_an_ignored_signal_stays_ignored():
    process = subprocess.Popen(["sh", "-c", f"trap '' INT; exec {PROBE} paint --num-coats 4 --step-ms 200"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=PLAIN)
    time.sleep(0.4)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 0


# Groups of commands

def test_a_command_of_a_group_gets_the_words_after_its_name():
    assert run("brush", "count", "one", "two").stdout == "2 words\n"
    assert json.loads(run("brush", "wash", "--color", "light-blue").stdout)["color"] == "light-blue"


@pytest.mark.parametrize("words", [["brush"], ["brush", "--help"], ["help", "brush"]])
def test_a_group_alone_explains_its_commands(words):
    done = run(*words)
    assert done.returncode == 0
    assert "  wash        wash one\n  count       count them\n" in done.stdout
    assert '"unnoise help brush COMMAND"' in done.stdout


def test_the_help_of_a_command_in_a_group():
    for words in (["brush", "wash", "--help"], ["help", "brush", "wash"]):
        assert "unnoise brush wash [options]" in run(*words).stdout
    page = run("help", "brush", "--markdown").stdout
    assert "# `unnoise brush wash [options]`" in page and "| `--num-coats" in page and "# `unnoise brush count`\n" in page


@pytest.mark.parametrize("words, text", [
    (["brush", "wahs"], 'Did you mean "unnoise brush wash"?'),
    (["brush", "xylophone"], '"unnoise help brush" lists its commands.'),
    (["brush", "--color", "red"], 'brush: expected a command before "--color"'),
    (["help", "brush", "wahs"], 'Did you mean "unnoise brush wash"?'),
])
def test_a_wrong_word_after_a_group(words, text):
    done = run(*words)
    assert done.returncode == 2 and text in done.stderr


# Completion

def complete(line, folder):
    """What bash offers for the last word of `line`."""
    words = line.split(" ")
    script = f"""
    source <({PROBE} completion bash) || exit 9
    complete -p unnoise >/dev/null || exit 8
    COMP_WORDS=({' '.join(f"'{w}'" for w in words)}); COMP_CWORD={len(words) - 1}
    _unnoise unnoise
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=folder, env=PLAIN)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


def test_bash_completes_commands_flags_and_values(tmp_path):
    (tmp_path / "my pictures").mkdir()
    assert complete("unnoise ", tmp_path) == ["paint", "brush", "completion", "help", "--help", "--version"]
    assert complete("unnoise pa", tmp_path) == ["paint"]
    assert complete("unnoise paint --co", tmp_path) == ["--color", "--coat-thickness"]
    assert complete("unnoise paint --no-w", tmp_path) == ["--no-wet-paint"]
    assert complete("unnoise paint --color ", tmp_path) == ["red", "light-blue"]
    assert complete("unnoise paint --color = li", tmp_path) == ["light-blue"]
    assert complete("unnoise paint --output_dir m", tmp_path) == ["my pictures"]
    assert complete("unnoise paint --num-coats ", tmp_path) == [""]
    assert complete("unnoise completion ", tmp_path) == ["bash", "zsh", "--help"]
    assert complete("unnoise help ", tmp_path) == ["paint", "brush", "completion", "--help"]
    assert complete("unnoise brush ", tmp_path) == ["wash", "count", "--help"]
    assert complete("unnoise brush wash --color ", tmp_path) == ["red", "light-blue"]


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
def test_zsh_completes_commands_flags_and_values(tmp_path):
    """zsh itself on a terminal: type, press Tab, look."""
    (tmp_path / "_unnoise").write_text(run("completion", "zsh").stdout)
    (tmp_path / ".zshrc").write_text("fpath=($ZDOTDIR $fpath); autoload -Uz compinit; compinit -u -d $ZDOTDIR/dump\n"
                                     "PROMPT='ready> '; unsetopt beep; zstyle ':completion:*' list-prompt ''\n")

    def tab(line):
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(shutil.which("zsh"), ["zsh", "-i"], {**PLAIN, "ZDOTDIR": str(tmp_path)})
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 120, 0, 0))
        terminal = Terminal.__new__(Terminal)
        terminal.fd, terminal.output = fd, ""
        terminal.read_until("ready> ")
        os.write(fd, line.encode() + b"\t")
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            if select.select([fd], [], [], 0.1)[0]:
                terminal.output += os.read(fd, 65536).decode(errors="replace")
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(fd)
        return plain(terminal.output)

    commands = tab("unnoise ")
    assert "paint" in commands and "paint a wall" in commands and "completion" in commands
    assert "it's [any] folder" in tab("unnoise paint --o")
    values = tab("unnoise paint --color ")
    assert "light-blue" in values and "red" in values
    brushes = tab("unnoise brush ")
    assert "wash one" in brushes and "count them" in brushes
    assert "light-blue" in tab("unnoise brush wash --color ")
