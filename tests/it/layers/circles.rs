//! No circles inside a room: files that name each other in a loop cannot be read one
//! after the other.
//!
//! The rule: what a file only hands on (`pub use`) is not its own. Whoever takes such a
//! name names the file that defines it.

use std::collections::btree_map::{BTreeMap, Entry};
use std::collections::{BTreeSet, VecDeque};

use super::paths::{paths_in, shipped_code};

/// Where a file stands: `qlik/wire/item.rs` is `qlik::wire::item`.
type Module = Vec<String>;

/// Every circle of a room, as the files on one way round it.
pub(super) fn circles_in(room: &str, sources: &[(String, String)]) -> BTreeSet<Vec<String>> {
    let house = House::of(sources);
    let mut circles = BTreeSet::new();
    for start in house.0.keys().filter(|module| module[0] == room) {
        if let Some(mut circle) = house.way_back_to(start) {
            let least = circle.iter().enumerate().min_by_key(|(_, name)| *name).map_or(0, |(at, _)| at);
            circle.rotate_left(least);
            circles.insert(circle);
        }
    }
    circles
}

/// Each file of the program with the paths that it names, from the root of the crate.
struct House(BTreeMap<Module, Vec<Module>>);

impl House {
    fn of(sources: &[(String, String)]) -> Self {
        let shipped = sources.iter().filter(|(path, _)| !is_test(path));
        let named: Vec<_> =
            shipped.map(|(path, text)| (module_of(path), paths_in(&shipped_code(text)))).collect();
        let modules: BTreeSet<_> = named.iter().map(|(module, _)| module.clone()).collect();
        let absolute = |(module, paths): (Module, Vec<Vec<String>>)| {
            let paths = paths.iter().filter_map(|path| from_the_root(&modules, &module, path)).collect();
            (module, paths)
        };
        Self(named.into_iter().map(absolute).collect())
    }

    /// The file that defines what a path leads to.
    fn home_of(&self, path: &[String]) -> Option<&Module> {
        let depth = (1..=path.len()).rev().find(|depth| self.0.contains_key(&path[..*depth]))?;
        let (module, paths) = self.0.get_key_value(&path[..depth])?;
        let Some(name) = path.get(depth) else { return Some(module) };
        let is_handed_on = |found: &&Module| {
            found.len() > depth + 1 && found.starts_with(module) && found.last() == Some(name)
        };
        match paths.iter().find(is_handed_on) {
            Some(deeper) if self.0.contains_key(&deeper[..=depth]) => self.home_of(deeper),
            Some(_) | None => Some(module),
        }
    }

    /// The files that a file names. One that names a folder it stands in, and nothing of it,
    /// only says who may see something.
    fn neighbours(&self, module: &Module) -> BTreeSet<&Module> {
        let named = self.0[module].iter().filter(|path| !module.starts_with(path));
        named.filter_map(|path| self.home_of(path)).filter(|home| *home != module).collect()
    }

    /// The shortest way from a file back to itself.
    fn way_back_to(&self, start: &Module) -> Option<Vec<String>> {
        let mut came_from: BTreeMap<&Module, &Module> = BTreeMap::new();
        let mut waiting = VecDeque::from([start]);
        while let Some(at) = waiting.pop_front() {
            for next in self.neighbours(at) {
                if next == start {
                    let way = std::iter::successors(Some(at), |step| came_from.get(step).copied());
                    let mut way: Vec<String> = way.map(|step| step.join("::")).collect();
                    way.reverse();
                    return Some(way);
                }
                if let Entry::Vacant(entry) = came_from.entry(next) {
                    entry.insert(at);
                    waiting.push_back(next);
                }
            }
        }
        None
    }
}

fn is_test(path: &str) -> bool {
    path.ends_with("tests.rs") || path.contains("/tests/") || path.starts_with("domain/model")
}

fn module_of(path: &str) -> Module {
    let mut module: Module = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|name| name == "mod") {
        module.pop();
    }
    module
}

/// A path as the crate's root would write it, if it leads to a file of ours.
fn from_the_root(modules: &BTreeSet<Module>, module: &Module, path: &[String]) -> Option<Module> {
    match path.first()?.as_str() {
        "crate" => Some(path[1..].to_vec()),
        "super" => {
            let ups = path.iter().take_while(|segment| *segment == "super").count();
            let above = module.len().checked_sub(ups)?;
            Some([&module[..above], &path[ups..]].concat())
        }
        "self" => Some([module, &path[1..]].concat()),
        // A child by its name alone is declared (`mod x;`), not used.
        first if path.len() > 1 => {
            let child = [module.as_slice(), &[first.to_owned()]].concat();
            modules.contains(&child).then(|| [module, path].concat())
        }
        _ => None,
    }
}

#[test]
fn a_circle_is_found_through_names_that_are_handed_on_and_a_straight_way_is_none() {
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let face = file("vault/mod.rs", "mod a; mod b; pub use a::A; pub use b::B;");
    let above = file("vault/a.rs", "use super::b::B; pub struct A(B);");
    let below = |text: &str| file("vault/b.rs", text);
    let circles = |text: &str| circles_in("vault", &[face.clone(), above.clone(), below(text)]);

    let around = BTreeSet::from([vec!["vault::a".to_owned(), "vault::b".to_owned()]]);

    for text in ["use super::a::A;", "use crate::vault::A;", "fn f() { super::A::new(); }"] {
        assert_eq!(circles(text), around, "{text}");
    }
    for text in [
        "pub(in crate::vault) struct B;",
        "#[cfg(test)] mod tests { use super::super::a::A; }",
        "use crate::domain::A;",
    ] {
        assert_eq!(circles(text), BTreeSet::new(), "{text}");
    }
}
