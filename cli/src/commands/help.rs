//! `galapagos help`: the recipe language, word by word, and the commands.

mod schema;
mod topic;
mod topics;

use clap::CommandFactory;

use super::print;
use crate::args;
use crate::error::{Error, Exit};
use crate::nearest::nearest;
use crate::render::table::aligned;
use topic::{Entry, Topic};

/// `galapagos help`.
///
/// # Errors
/// If nothing is known by that word.
pub fn run(args: &args::Help) -> Result<Exit, Error> {
    if args.schema {
        super::print_json(&schema::schema())?;
        return Ok(Exit::Done);
    }
    let text = if args.markdown { reference() } else { answer(&args.topic)? };
    print(&text)?;
    Ok(Exit::Done)
}

/// What is known about `words`: `recipe`, `recipe WORD` or a command.
fn answer(words: &[String]) -> Result<String, Error> {
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] | ["recipe"] => Ok(overview()),
        ["recipe", path] => of_recipe(path).ok_or_else(|| unknown(path, &recipe_words())),
        [word] => command(word).or_else(|| of_recipe(word)).ok_or_else(|| unknown(word, &all_words())),
        several => {
            Err(Error::Usage { message: format!("one word at a time; `{}` are {}", several.join(" "), several.len()) })
        }
    }
}

fn overview() -> String {
    let top = ["recipe", "each"].into_iter().filter_map(find).map(Topic::text).collect::<Vec<_>>().join("\n");
    let rows: Vec<Vec<String>> = topics::all()
        .map(|topic| vec![format!("  {}", topic.word), topic.place.to_owned(), topic.about.to_owned()])
        .collect();
    format!("{top}\nmore: galapagos help recipe WORD, where WORD is one of these or any field\n{}", aligned(&rows))
}

/// The topic of that word, or every place where it is a field or a choice. Of a path such as `rollout.search`, the end.
fn of_recipe(path: &str) -> Option<String> {
    let word = path.rsplit('.').next().unwrap_or(path);
    if let Some(topic) = find(word) {
        return Some(topic.text());
    }
    let rows: Vec<Vec<String>> = topics::all()
        .flat_map(|topic| {
            topic.entries.iter().filter(|entry| entry.word == word).map(move |entry| found_in(topic, entry))
        })
        .collect();
    (!rows.is_empty()).then(|| aligned(&rows))
}

fn found_in(topic: &Topic, entry: &Entry) -> Vec<String> {
    let default = match entry.preset {
        topic::Preset::Required => "required".to_owned(),
        topic::Preset::Absent | topic::Preset::Word => String::new(),
        topic::Preset::Default(value) => format!("default {value}"),
    };
    vec![format!("{}.{}", topic.word, entry.word), entry.takes.to_owned(), default, entry.about.to_owned()]
}

fn find(word: &str) -> Option<&'static Topic> {
    topics::all().find(|topic| topic.word == word)
}

fn command(word: &str) -> Option<String> {
    let mut command = args::Args::command();
    command.build();
    let found = command.find_subcommand_mut(word)?;
    Some(found.render_long_help().to_string())
}

fn recipe_words() -> Vec<String> {
    let mut words: Vec<String> = topics::all()
        .flat_map(|topic| std::iter::once(topic.word).chain(topic.entries.iter().map(|entry| entry.word)))
        .map(str::to_owned)
        .collect();
    words.sort_unstable();
    words.dedup();
    words
}

fn all_words() -> Vec<String> {
    let commands = args::Args::command();
    let names = commands.get_subcommands().map(|command| command.get_name().to_owned());
    names.chain(recipe_words()).collect()
}

fn unknown(word: &str, known: &[String]) -> Error {
    let near = nearest(word, known.iter().map(String::as_str));
    let hint = match near {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None => "`galapagos help recipe` lists the recipe language, `galapagos --help` the commands".to_owned(),
    };
    Error::Usage { message: format!("there is no help on `{word}`; {hint}") }
}

/// The whole recipe language as one Markdown page.
fn reference() -> String {
    let head = "# Recipe reference\n\nEvery word of the recipe language. This page is printed by `galapagos help --markdown`; \
                a test keeps it, and the defaults in it, equal to the grammar.\n";
    let sections: Vec<String> = topics::all().map(Topic::markdown).collect();
    format!("{head}\n{}", sections.join("\n"))
}

#[cfg(test)]
mod grammar;
#[cfg(test)]
mod tests;
