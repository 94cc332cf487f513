//! The live screen: a thread that draws the entries it receives, or a recorded run.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use ratatui::crossterm::event::{self, Event as Input};

use super::{
    draw::draw,
    model::Model,
    palette::Palette,
    player::Player,
    terminal::Screen,
    view::{Action, Quit, Replay, View},
};
use crate::{
    process,
    run::{Entry, Head, Run, now},
};

/// Longest wait for a key before it is looked whether anything else has come.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Frames of a replay, and at most of a live run.
const FRAME_EVERY: Duration = Duration::from_millis(80);
/// What has not changed is drawn again after so long, for the clock.
const CLOCK_EVERY: Duration = Duration::from_secs(1);

/// A screen that shows a run as it is told. Dropping it closes it.
#[derive(Debug)]
pub struct Live {
    told: Option<Sender<Entry>>,
    thread: Option<JoinHandle<()>>,
    left: Arc<Mutex<Option<Quit>>>,
    is_closed: Arc<AtomicBool>,
    /// Others may still hold what tells the screen, so an end of what is told is no sign.
    stop: Arc<AtomicBool>,
}

impl Live {
    /// Takes the terminal. `closed` is called once the terminal is restored, by whatever way but a deadly signal.
    ///
    /// # Errors
    /// The terminal cannot be set.
    pub fn open(head: &Head, palette: Palette, closed: impl FnOnce() + Send + 'static) -> io::Result<Live> {
        let screen = Screen::open()?;
        let (told, news) = mpsc::channel();
        let (left, is_closed) = (Arc::new(Mutex::new(None)), Arc::new(AtomicBool::new(false)));
        let stop = Arc::new(AtomicBool::new(false));
        let feed = Feed::Live { news, stop: Arc::clone(&stop) };
        let (model, leaving, closing) = (Model::new(head), Arc::clone(&left), Arc::clone(&is_closed));
        let thread = std::thread::Builder::new().name("screen".to_owned()).spawn(move || {
            // A terminal that is gone is no reason to end what the run is about.
            let quit = show(screen, feed, model, View::new(None), palette).unwrap_or(None);
            *leaving.lock() = quit;
            closing.store(true, Ordering::SeqCst);
            closed();
            if quit == Some(Quit::Interrupted) {
                process::interrupt_self();
            }
        })?;
        Ok(Live { told: Some(told), thread: Some(thread), left, is_closed, stop })
    }

    /// Shows what has happened. When the screen was left, nobody sees it.
    pub fn tell(&self, entry: &Entry) {
        if let Some(told) = &self.told {
            let _ = told.send(entry.clone());
        }
    }

    /// What shows an entry, for others to have.
    pub fn teller(&self) -> impl Fn(Entry) + Send + use<> {
        let told = self.told.clone();
        move |entry| {
            if let Some(told) = &told {
                let _ = told.send(entry);
            }
        }
    }

    /// Whether the terminal is restored.
    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst) || self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// How it was left, if it was.
    pub fn left(&self) -> Option<Quit> {
        *self.left.lock()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.told = None;
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // A panic of it was reported where it happened.
            let _ = thread.join();
        }
    }
}

/// Plays `run` in the terminal until it is left.
///
/// # Errors
/// The terminal cannot be set, or is gone.
pub fn replay(run: &Run, speed: f64, palette: Palette) -> io::Result<Option<Quit>> {
    let player = Player::new(run, speed);
    let length = player.length();
    let view = View::new(Some(Replay { speed: player.speed, length, is_over: false }));
    let model = Model::new(&run.head);
    show(Screen::open()?, Feed::Recorded(&run.head, Box::new(player)), model, view, palette)
}

/// Where entries come from.
enum Feed<'a> {
    Live { news: Receiver<Entry>, stop: Arc<AtomicBool> },
    Recorded(&'a Head, Box<Player<'a>>),
}

/// Draws until the screen is left, an interrupt comes or the feed ends. The terminal is restored at the end.
fn show(
    mut screen: Screen,
    mut feed: Feed,
    mut model: Model,
    mut view: View,
    palette: Palette,
) -> io::Result<Option<Quit>> {
    let interrupts = process::interrupts_seen();
    // What is drawn while the picture is held.
    let mut held: Option<Model> = None;
    let (mut is_changed, mut drawn) = (true, None::<Instant>);
    let mut clock = Instant::now();
    loop {
        let since = drawn.map_or(CLOCK_EVERY, |drawn| drawn.elapsed());
        if since >= CLOCK_EVERY || (is_changed && since >= FRAME_EVERY) {
            if let Feed::Live { .. } = feed {
                model.at(now());
            }
            let shown = held.as_ref().unwrap_or(&model);
            screen.terminal.draw(|frame| draw(shown, &view, palette, frame))?;
            (is_changed, drawn) = (false, Some(Instant::now()));
        }
        let wait = if is_changed { FRAME_EVERY } else { LOOK_EVERY };
        let wait = match &feed {
            Feed::Recorded(_, player) if !view.is_paused && !player.is_over() => FRAME_EVERY,
            _ => wait,
        };
        if event::poll(wait)? {
            is_changed = true;
            let action = match event::read()? {
                Input::Key(key) => view.key(key, &model.brokers.keys().copied().collect::<Vec<_>>()),
                _ => Action::Redraw,
            };
            if let Feed::Recorded(head, player) = &mut feed {
                match action {
                    Action::Faster => player.faster(),
                    Action::Slower => player.slower(),
                    Action::Seek(seconds) => {
                        let (is_anew, told) = player.seek(seconds);
                        if is_anew {
                            model = Model::new(head);
                        }
                        told.iter().for_each(|entry| model.take(entry));
                        model.now = player.at;
                    }
                    _ => {}
                }
            }
            if let Action::Quit(quit) = action {
                return Ok(Some(quit));
            }
        }
        match &mut feed {
            Feed::Live { news, stop } => {
                while let Ok(entry) = news.try_recv() {
                    model.take(&entry);
                    is_changed = true;
                }
                if stop.load(Ordering::SeqCst) {
                    return Ok(None);
                }
            }
            Feed::Recorded(_, player) => {
                let elapsed = clock.elapsed();
                if !view.is_paused && !player.is_over() {
                    player.advance(elapsed).iter().for_each(|entry| model.take(entry));
                    model.now = player.at;
                    is_changed = true;
                }
                view.replay = Some(Replay { speed: player.speed, length: player.length(), is_over: player.is_over() });
            }
        }
        clock = Instant::now();
        held = match (view.is_paused, held.take()) {
            (true, Some(held)) => Some(held),
            (true, None) if view.replay.is_none() => Some(model.clone()),
            _ => None,
        };
        if process::interrupts_seen() != interrupts {
            return Ok(Some(Quit::Left));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        run::{Environment, Event},
        screen::tests::in_a_terminal,
    };

    /// Without a terminal there is nothing to be seen, which the test below would notice.
    #[test]
    #[ignore = "run in a terminal by the test below"]
    fn is_told_something_and_dropped() {
        let head = Head {
            schema: String::new(),
            id: "watch-1".into(),
            command: "watch".into(),
            args: Vec::new(),
            started: now(),
            environment: Environment::default(),
        };
        let (closed, closing) = mpsc::channel();
        let Ok(live) = Live::open(&head, Palette { is_coloured: false }, move || {
            let _ = closed.send(());
        }) else {
            return;
        };
        live.tell(&Entry { at: now(), event: Event::note("alpha") });
        // Whoever else may tell something does not keep the screen open.
        let tell = live.teller();
        tell(Entry { at: now(), event: Event::note("beta") });
        std::thread::sleep(CLOCK_EVERY);
        assert!(!live.is_closed());
        drop(live);
        closing.recv().unwrap();
        tell(Entry { at: now(), event: Event::note("gamma") });
        std::io::Write::write_all(&mut io::stdout(), b"afterwards").unwrap();
    }

    #[test]
    fn what_is_told_is_drawn_until_the_screen_is_dropped() {
        let text = in_a_terminal("screen::live::tests::is_told_something_and_dropped");
        let place = |what: &str| text.find(what).unwrap_or_else(|| panic!("no {what:?} in {text:?}"));
        let leave = place("\x1b[?1049l");
        assert!(place("alpha") < leave && place("beta") < leave, "{text:?}");
        assert!(place("afterwards") > leave && !text.contains("gamma"), "{text:?}");
    }
}
