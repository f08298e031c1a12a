//! Which rules can match at all: found by the tool or the method that they name, so that a call costs as many
//! evaluations as there are rules about it.

use super::subject::Known;
use crate::engine::config::Rule;
use crate::engine::expression::Subject;
use std::collections::HashMap;

/// Places of rules, each list ascending.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// By the exposed name that they demand.
    tools: HashMap<Box<str>, Vec<u32>>,
    /// By the method that they demand, if they name no tool.
    methods: HashMap<Box<str>, Vec<u32>>,
    /// Those that name neither.
    rest: Vec<u32>,
}

impl Index {
    pub(super) fn new(rules: &[Rule]) -> Self {
        let mut index = Self::default();
        for (place, rule) in (0u32..).zip(rules) {
            let literals = rule.when.literals();
            let (table, names) = match (literals.values(Subject::Tool), literals.values(Subject::Method)) {
                (Some(names), _) => (&mut index.tools, names),
                (None, Some(names)) => (&mut index.methods, names),
                (None, None) => {
                    index.rest.push(place);
                    continue;
                }
            };
            for name in names {
                let places = table.entry(name.clone()).or_default();
                if places.last() != Some(&place) {
                    places.push(place);
                }
            }
        }
        index
    }

    /// The places of the rules that may match, ascending.
    pub(super) fn candidates(&self, known: &Known<'_>) -> Candidates<'_> {
        let of = |subject| known.literal(subject);
        Candidates([
            places(&self.tools, of(Subject::Tool)),
            places(&self.methods, of(Subject::Method)),
            &self.rest,
        ])
    }
}

fn places<'i>(table: &'i HashMap<Box<str>, Vec<u32>>, name: Option<&str>) -> &'i [u32] {
    name.and_then(|name| table.get(name)).map_or(&[], Vec::as_slice)
}

/// Three ascending lists as one.
pub(super) struct Candidates<'i>([&'i [u32]; 3]);

impl Iterator for Candidates<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let least = self.0.iter_mut().filter(|list| !list.is_empty());
        let list = least.min_by_key(|list| list.first().copied())?;
        let (first, rest) = list.split_first()?;
        *list = rest;
        Some(*first as usize)
    }
}

/// Whether every literal that the rule demands is there.
pub(super) fn fits(rule: &Rule, known: &Known<'_>) -> bool {
    rule.when.literals().iter().all(|(subject, values)| {
        known
            .literal(subject)
            .is_some_and(|value| values.iter().any(|wanted| **wanted == *value))
    })
}
