//! What a user has chosen to look at, and what the keys do.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::sample::BrokerId;

/// How the screen was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quit {
    /// q or Esc.
    Left,
    /// Ctrl-C: as an interrupt of the command.
    Interrupted,
}

/// What a key asks of those who feed the screen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Action {
    Nothing,
    /// Only the view has changed.
    Redraw,
    Quit(Quit),
    /// Replay only: faster, or slower.
    Faster,
    Slower,
    /// Replay only: so many seconds on, or back.
    Seek(f64),
}

/// Stretches of time that charts may show, s; the last is all of it.
const WINDOWS: [(f64, &str); 4] = [(120.0, "2 min"), (900.0, "15 min"), (3600.0, "1 h"), (f64::INFINITY, "all")];

/// One look at a [`Model`](super::Model).
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// Nothing is all brokers as one.
    pub selected: Option<BrokerId>,
    /// Which page of charts, of as many as there turn out to be.
    pub page: usize,
    pub(super) window: usize,
    pub is_help_shown: bool,
    /// What was assessed, and what was not and why.
    pub is_coverage_shown: bool,
    pub is_paused: bool,
    /// Only in replay there is a speed, and time can be gone through.
    pub replay: Option<Replay>,
}

/// Where a replay is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Replay {
    pub speed: f64,
    /// Seconds from the run's beginning to its end.
    pub length: f64,
    pub is_over: bool,
}

impl View {
    pub fn new(replay: Option<Replay>) -> View {
        let window = if replay.is_some() { WINDOWS.len() - 1 } else { 1 };
        View {
            selected: None,
            page: 0,
            window,
            is_help_shown: false,
            is_coverage_shown: false,
            is_paused: false,
            replay,
        }
    }

    /// Seconds that charts show at most.
    pub fn window_s(&self) -> f64 {
        WINDOWS[self.window].0
    }

    pub fn window_name(&self) -> &'static str {
        WINDOWS[self.window].1
    }

    /// Takes a key; `brokers` are those that there are.
    pub fn key(&mut self, key: KeyEvent, brokers: &[BrokerId]) -> Action {
        if key.kind == KeyEventKind::Release {
            return Action::Nothing;
        }
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c' | 'd') if is_control => return Action::Quit(Quit::Interrupted),
            _ if is_control => return Action::Nothing,
            KeyCode::Esc if self.is_help_shown || self.is_coverage_shown => {
                (self.is_help_shown, self.is_coverage_shown) = (false, false);
            }
            KeyCode::Char('q' | 'Q') | KeyCode::Esc => return Action::Quit(Quit::Left),
            KeyCode::Char('?' | 'h' | 'H') | KeyCode::F(1) => {
                (self.is_help_shown, self.is_coverage_shown) = (!self.is_help_shown, false);
            }
            KeyCode::Char('v' | 'V') => {
                (self.is_help_shown, self.is_coverage_shown) = (false, !self.is_coverage_shown);
            }
            KeyCode::Char(' ') => self.is_paused = !self.is_paused,
            KeyCode::Char('c') => self.page = self.page.wrapping_add(1),
            KeyCode::Char('w') => self.window = (self.window + 1) % WINDOWS.len(),
            KeyCode::Down | KeyCode::Tab | KeyCode::Char('j') => self.select(brokers, 1),
            KeyCode::Up | KeyCode::BackTab | KeyCode::Char('k') => self.select(brokers, -1),
            KeyCode::Char('a') => self.selected = None,
            _ if self.replay.is_some() => {
                return match key.code {
                    KeyCode::Char('+' | '=') => Action::Faster,
                    KeyCode::Char('-' | '_') => Action::Slower,
                    KeyCode::Right | KeyCode::Char('l') => Action::Seek(10.0),
                    KeyCode::Left => Action::Seek(-10.0),
                    KeyCode::PageDown => Action::Seek(60.0),
                    KeyCode::PageUp => Action::Seek(-60.0),
                    KeyCode::Home | KeyCode::Char('0') => Action::Seek(f64::NEG_INFINITY),
                    KeyCode::End | KeyCode::Char('$') => Action::Seek(f64::INFINITY),
                    _ => Action::Nothing,
                };
            }
            _ => return Action::Nothing,
        }
        Action::Redraw
    }

    /// The next broker; before the first and after the last comes "all".
    fn select(&mut self, brokers: &[BrokerId], step: isize) {
        let places = brokers.len() as isize + 1;
        let place = self.selected.and_then(|id| brokers.iter().position(|broker| *broker == id));
        let place = place.map_or(0, |place| place as isize + 1);
        let next = (place + step).rem_euclid(places);
        self.selected = usize::try_from(next - 1).ok().and_then(|next| brokers.get(next).copied());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(view: &mut View, code: KeyCode, modifiers: KeyModifiers) -> Action {
        view.key(KeyEvent::new(code, modifiers), &[1, 2, 7])
    }

    #[test]
    fn every_way_out_is_one() {
        for replay in [None, Some(Replay { speed: 1.0, length: 9.0, is_over: false })] {
            for (code, modifiers, quit) in [
                (KeyCode::Char('q'), KeyModifiers::NONE, Quit::Left),
                (KeyCode::Esc, KeyModifiers::NONE, Quit::Left),
                (KeyCode::Char('c'), KeyModifiers::CONTROL, Quit::Interrupted),
            ] {
                let mut view = View { is_paused: true, ..View::new(replay) };
                assert_eq!(press(&mut view, code, modifiers), Action::Quit(quit));
            }
        }
        // Esc leaves the help and the coverage first.
        for key in ['?', 'v'] {
            let mut view = View::new(None);
            press(&mut view, KeyCode::Char(key), KeyModifiers::NONE);
            assert!(view.is_help_shown || view.is_coverage_shown, "{key}");
            assert_eq!(press(&mut view, KeyCode::Esc, KeyModifiers::NONE), Action::Redraw);
            assert!(!view.is_help_shown && !view.is_coverage_shown, "{key}");
        }
    }

    #[test]
    fn brokers_are_gone_through_in_a_circle() {
        let mut view = View::new(None);
        let mut seen = Vec::new();
        for code in [KeyCode::Down, KeyCode::Tab, KeyCode::Down, KeyCode::Down, KeyCode::Up, KeyCode::Char('a')] {
            press(&mut view, code, KeyModifiers::NONE);
            seen.push(view.selected);
        }
        assert_eq!(seen, [Some(1), Some(2), Some(7), None, Some(7), None]);
        assert_eq!(view.key(KeyEvent::new(KeyCode::Down, KeyModifiers::NONE), &[]), Action::Redraw);
        assert_eq!(view.selected, None);
    }

    #[test]
    fn only_a_replay_has_speed_and_time() {
        let mut live = View::new(None);
        let mut replay = View::new(Some(Replay { speed: 1.0, length: 9.0, is_over: false }));
        for (code, action) in [
            (KeyCode::Char('+'), Action::Faster),
            (KeyCode::Char('-'), Action::Slower),
            (KeyCode::Right, Action::Seek(10.0)),
            (KeyCode::PageUp, Action::Seek(-60.0)),
            (KeyCode::Home, Action::Seek(f64::NEG_INFINITY)),
        ] {
            assert_eq!(press(&mut live, code, KeyModifiers::NONE), Action::Nothing);
            assert_eq!(press(&mut replay, code, KeyModifiers::NONE), action);
        }
    }
}
