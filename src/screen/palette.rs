//! Whether colours are used, and which. Every colour also has a letter or a symbol with the same meaning.

use ratatui::style::{Color, Modifier, Style};

/// What was requested with `--color`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ColorChoice {
    /// As the environment says, and else where there is a terminal.
    #[default]
    Auto,
    Always,
    Never,
}

/// The styles of everything that is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Palette {
    pub is_coloured: bool,
}

impl Palette {
    /// `variable` reads the environment: NO_COLOR and CLICOLOR_FORCE (no-color.org, bixense.com/clicolors), CLICOLOR=0 and
    /// TERM=dumb. What was requested goes first, then NO_COLOR.
    pub fn choose(choice: ColorChoice, is_terminal: bool, variable: impl Fn(&str) -> Option<String>) -> Palette {
        let is_set = |name| variable(name).is_some_and(|value| !value.is_empty());
        let is_forced = variable("CLICOLOR_FORCE").is_some_and(|value| !value.is_empty() && value != "0");
        let is_refused = variable("CLICOLOR").is_some_and(|value| value == "0")
            || variable("TERM").is_some_and(|term| term == "dumb");
        let is_coloured = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto if is_set("NO_COLOR") => false,
            ColorChoice::Auto => is_forced || (is_terminal && !is_refused),
        };
        Palette { is_coloured }
    }

    fn ink(self, color: Color) -> Style {
        if self.is_coloured { Style::new().fg(color) } else { Style::new() }
    }

    pub fn good(self) -> Style {
        self.ink(Color::Green)
    }

    pub fn warning(self) -> Style {
        self.ink(Color::Yellow)
    }

    pub fn bad(self) -> Style {
        self.ink(Color::LightRed).add_modifier(Modifier::BOLD)
    }

    /// Axes, headings, help: what is not the matter itself.
    pub fn faint(self) -> Style {
        self.ink(Color::DarkGray)
    }

    pub fn heading(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    pub fn mark(self) -> Style {
        self.ink(Color::LightMagenta).add_modifier(Modifier::BOLD)
    }

    /// The first and the second line of a chart.
    pub fn line(self, number: usize) -> Style {
        self.ink(if number == 0 { Color::LightCyan } else { Color::LightYellow })
    }

    /// A part of the produce time, by its letter.
    pub fn part(self, letter: char) -> Style {
        self.ink(match letter {
            'q' => Color::LightYellow,
            'l' => Color::LightCyan,
            'r' => Color::LightMagenta,
            _ => Color::LightGreen,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_follow_the_flag_then_the_environment_then_the_terminal() {
        let check = |choice, is_terminal, set: &[(&str, &str)], expected| {
            let variable = |name: &str| set.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned());
            assert_eq!(Palette::choose(choice, is_terminal, variable).is_coloured, expected, "{choice:?} {set:?}");
        };
        use ColorChoice::{Always, Auto, Never};
        check(Auto, true, &[], true);
        check(Auto, false, &[], false);
        check(Auto, true, &[("NO_COLOR", "1")], false);
        check(Auto, true, &[("NO_COLOR", "")], true);
        check(Auto, true, &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], false);
        check(Auto, false, &[("CLICOLOR_FORCE", "1")], true);
        check(Auto, false, &[("CLICOLOR_FORCE", "0")], false);
        check(Auto, true, &[("CLICOLOR", "0")], false);
        check(Auto, true, &[("TERM", "dumb")], false);
        check(Always, false, &[("NO_COLOR", "1")], true);
        check(Never, true, &[("CLICOLOR_FORCE", "1")], false);
    }

    #[test]
    fn without_colours_there_are_none() {
        let plain = Palette { is_coloured: false };
        let all =
            [plain.good(), plain.warning(), plain.bad(), plain.faint(), plain.mark(), plain.line(0), plain.part('q')];
        assert!(all.iter().all(|style| style.fg.is_none() && style.bg.is_none()));
    }
}
