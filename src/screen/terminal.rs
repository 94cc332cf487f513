//! The terminal while the screen has it, and its return: after the end, an error, a panic or a deadly signal.

use std::{
    io::{self, IsTerminal as _, Write},
    sync::{
        Once, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use ratatui::{Terminal, backend::CrosstermBackend, crossterm::terminal};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::process;

/// Alternate screen, no cursor; and back, with plain letters.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[2J\x1b[?25l";
const LEAVE: &[u8] = b"\x1b[0m\x1b[?1049l\x1b[?25h";

/// The screen has the terminal.
static IS_OPEN: AtomicBool = AtomicBool::new(false);

/// The terminal's settings before.
static BEFORE: OnceLock<Termios> = OnceLock::new();

/// Whether there is a terminal that can be drawn on and typed at.
pub fn is_usable() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    io::stdin().is_terminal() && io::stdout().is_terminal() && !is_dumb
}

/// The terminal, taken. Dropping it gives it back.
pub struct Screen {
    pub terminal: Terminal<CrosstermBackend<Whole>>,
}

impl Screen {
    /// # Errors
    /// There is no terminal, or it cannot be set.
    pub fn open() -> io::Result<Screen> {
        static HOOKS: Once = Once::new();
        let before = tcgetattr(io::stdin())?;
        let _ = BEFORE.set(before);
        HOOKS.call_once(|| {
            let earlier = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                give_back();
                earlier(panic);
            }));
        });
        process::before_death(give_back)?;
        terminal::enable_raw_mode()?;
        IS_OPEN.store(true, Ordering::SeqCst);
        let screen = Screen { terminal: Terminal::new(CrosstermBackend::new(Whole::default()))? };
        io::stdout().write_all(ENTER)?;
        io::stdout().flush()?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
        // The settings are as before already; this tells crossterm so.
        let _ = terminal::disable_raw_mode();
    }
}

/// Restores the terminal, once. Only two system calls, so that a signal's handler may do it.
fn give_back() {
    if !IS_OPEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let (input, output) = (rustix::stdio::stdin(), rustix::stdio::stdout());
    let _ = rustix::io::write(output, LEAVE);
    if let Some(before) = BEFORE.get() {
        let _ = tcsetattr(input, OptionalActions::Now, before);
    }
}

/// Standard output, a whole frame at a time, and only while the screen has the terminal.
#[derive(Default)]
pub struct Whole {
    frame: Vec<u8>,
}

impl Write for Whole {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.frame.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let frame = std::mem::take(&mut self.frame);
        if !IS_OPEN.load(Ordering::SeqCst) || frame.is_empty() {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        out.write_all(&frame)?;
        out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::tests::in_a_terminal;

    /// Panics with or without a terminal; with one, the panic finds the screen open.
    #[test]
    #[should_panic(expected = "")]
    #[ignore = "run in a terminal by the test below"]
    fn panics_while_the_screen_is_open() {
        let mut screen = Screen::open().unwrap();
        screen.terminal.draw(|frame| frame.render_widget("drawn", frame.area())).unwrap();
        std::thread::spawn(|| panic!("on purpose")).join().unwrap();
    }

    #[test]
    fn a_panic_gives_the_terminal_back_before_it_is_reported() {
        let text = in_a_terminal("screen::terminal::tests::panics_while_the_screen_is_open");
        let place = |what: &str| text.find(what).unwrap_or_else(|| panic!("no {what:?} in {text:?}"));
        assert!(place("drawn") < place("\x1b[?1049l"), "{text:?}");
        assert!(place("\x1b[?1049l") < place("on purpose"), "{text:?}");
        assert!(text.contains("\x1b[?25h"), "{text:?}");
    }
}
