"""The program ``smtpctl``, which ``python -m smtpctl`` is too."""

import gc


def run() -> None:
    """Run a command, with few looks for memory that only cycles hold: a command is soon over, and they would take a
    tenth of its time. None at its end, where all memory goes at once."""
    gc.set_threshold(100_000)
    from smtpctl.cli import main

    try:
        main()
    finally:
        gc.freeze()


if __name__ == "__main__":
    run()
