//! The terminal that lines move on.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use ::console::Term;
use indicatif::{ProgressDrawTarget, TermLike};

/// How often lines are drawn at most.
const DRAWS_PER_S: u8 = 20;

/// Standard error.
pub(super) fn stderr() -> ProgressDrawTarget {
    target(Term::buffered_stderr())
}

fn target(term: impl TermLike + 'static) -> ProgressDrawTarget {
    let resting = Resting { term, at_edge: AtomicBool::new(false), rests: AtomicBool::new(false) };
    ProgressDrawTarget::term_like_with_hz(Box::new(resting), DRAWS_PER_S)
}

/// A terminal whose cursor rests at the start of the last line. indicatif leaves it behind the end, where the `^C` that
/// the terminal echoes moves everything by a line that nobody clears.
#[derive(Debug)]
struct Resting<T> {
    term: T,
    /// Whether what was written last ends at the right edge, as all that indicatif writes does.
    at_edge: AtomicBool,
    /// Whether the cursor was brought back to the start of that line.
    rests: AtomicBool,
}

impl<T: TermLike> Resting<T> {
    fn moved(&self) {
        self.at_edge.store(false, Relaxed);
        self.rests.store(false, Relaxed);
    }

    /// Whoever writes on behind the edge means the next line.
    fn go_on(&self) -> io::Result<()> {
        self.at_edge.store(true, Relaxed);
        if self.rests.swap(false, Relaxed) { self.term.write_str("\n") } else { Ok(()) }
    }
}

impl<T: TermLike> TermLike for Resting<T> {
    fn width(&self) -> u16 {
        self.term.width()
    }

    fn height(&self) -> u16 {
        self.term.height()
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        if n > 0 {
            self.moved();
        }
        self.term.move_cursor_up(n)
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        if n > 0 {
            self.moved();
        }
        self.term.move_cursor_down(n)
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.term.move_cursor_right(n)
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.term.move_cursor_left(n)
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.go_on()?;
        self.moved();
        self.term.write_line(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.go_on()?;
        self.term.write_str(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.moved();
        self.term.clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        if self.at_edge.swap(false, Relaxed) {
            self.rests.store(true, Relaxed);
            self.term.write_str("\r")?;
        }
        self.term.flush()
    }
}

#[cfg(test)]
mod tests {
    use indicatif::{InMemoryTerm, MultiProgress, ProgressBar};

    use super::*;

    #[test]
    fn an_echo_leaves_no_line_behind() {
        let screen = InMemoryTerm::new(10, 20);
        let lines = MultiProgress::with_draw_target(target(screen.clone()));
        lines.println("before").unwrap();
        let bars: Vec<ProgressBar> = ["core", "shop"]
            .into_iter()
            .map(|name| {
                let style = indicatif::ProgressStyle::with_template("{msg}").unwrap();
                let bar = lines.add(ProgressBar::new_spinner().with_style(style));
                bar.set_message(name);
                bar
            })
            .collect();
        for bar in &bars {
            bar.force_draw();
        }
        assert_eq!(screen.contents(), "before\ncore\nshop");
        screen.write_str("^C").unwrap();
        assert_eq!(screen.contents(), "before\ncore\n^Cop");
        lines.println("stopping").unwrap();
        lines.println("stopped").unwrap();
        assert_eq!(screen.contents(), "before\nstopping\nstopped\ncore\nshop");
        for bar in &bars {
            bar.finish_and_clear();
        }
        lines.clear().unwrap();
        screen.write_str("TABLE").unwrap();
        assert_eq!(screen.contents(), "before\nstopping\nstopped\nTABLE");
    }
}
