//! What kind of value a part of an expression surely yields, and which kinds can never stand together.
//!
//! Most of what rules read may be anything (arguments, claims): of that nothing is said. What is said here is certain: such
//! an expression would fail or say the same of every request.

use cel::common::ast::{LiteralValue, operators};

/// A kind of value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    Bool,
    Null,
    /// With such elements.
    List(Inside),
    /// With such values; keys are texts.
    Map(Inside),
    /// Not known before there is a request.
    Any,
}

/// What a list or a map holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inside {
    Texts,
    Numbers,
    Any,
}

/// A part of a call that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The call as a whole.
    Whole,
    /// What it is a member of.
    Target,
    /// One of its arguments.
    Argument(usize),
}

/// Why a call can never be made.
pub(super) type Misfit = (Part, String);

impl Kind {
    pub(super) fn of_literal(literal: &LiteralValue) -> Self {
        match literal {
            LiteralValue::String(_) => Self::Text,
            LiteralValue::Boolean(_) => Self::Bool,
            LiteralValue::Int(_) | LiteralValue::UInt(_) | LiteralValue::Double(_) => Self::Number,
            LiteralValue::Null => Self::Null,
            _ => Self::Any,
        }
    }

    /// A list of these.
    pub(super) fn list_of(elements: &[Self]) -> Self {
        let all = |kind| !elements.is_empty() && elements.iter().all(|element| *element == kind);
        Self::List(match (all(Self::Text), all(Self::Number)) {
            (true, _) => Inside::Texts,
            (_, true) => Inside::Numbers,
            (false, false) => Inside::Any,
        })
    }

    /// For messages.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Number => "a number",
            Self::Bool => "true or false",
            Self::Null => "null",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
            Self::Any => "a value",
        }
    }

    /// What a member of it is; `None`: it has none.
    pub(super) const fn member(self) -> Option<Self> {
        match self {
            Self::Map(inside) => Some(inside.kind()),
            Self::Any => Some(Self::Any),
            Self::Text | Self::Number | Self::Bool | Self::Null | Self::List(_) => None,
        }
    }

    /// What is wrong with it where true or false is wanted.
    pub(super) fn not_bool(self) -> Option<String> {
        match self {
            Self::Bool | Self::Any => None,
            Self::Text | Self::Number | Self::Null | Self::List(_) | Self::Map(_) => {
                Some(format!("is {}, not true or false", self.word()))
            }
        }
    }

    /// Whether both may be the same kind of value.
    fn meets(self, other: Self) -> bool {
        match (self, other) {
            (Self::Any, _) | (_, Self::Any) | (Self::List(_), Self::List(_)) | (Self::Map(_), Self::Map(_)) => true,
            (one, other) => one == other,
        }
    }

    const fn has_order(self) -> bool {
        match self {
            Self::Text | Self::Number | Self::Bool | Self::Any => true,
            Self::Null | Self::List(_) | Self::Map(_) => false,
        }
    }
}

impl Inside {
    const fn kind(self) -> Kind {
        match self {
            Self::Texts => Kind::Text,
            Self::Numbers => Kind::Number,
            Self::Any => Kind::Any,
        }
    }
}

/// What a call of an operator or function yields, and what is wrong with it.
pub(super) fn of_call(name: &str, target: Option<Kind>, arguments: &[Kind]) -> (Kind, Option<Misfit>) {
    match (name, target, arguments) {
        (operators::LOGICAL_AND | operators::LOGICAL_OR | operators::LOGICAL_NOT, _, sides) => {
            (Kind::Bool, first(sides, Kind::not_bool))
        }
        (operators::CONDITIONAL, _, [condition, one, other]) => {
            let yields = if one == other { *one } else { Kind::Any };
            (yields, first(&[*condition], Kind::not_bool))
        }
        (operators::EQUALS, _, [one, other]) => (Kind::Bool, apart(*one, *other, "never equals")),
        (operators::NOT_EQUALS, _, [one, other]) => (Kind::Bool, apart(*one, *other, "always differs from")),
        (
            operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS,
            _,
            [one, other],
        ) => (Kind::Bool, order(*one, *other)),
        (operators::IN, _, [element, of]) => (Kind::Bool, within(*element, *of)),
        (operators::ADD, _, [one, other]) => sum(*one, *other),
        (
            operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE | operators::MODULO | operators::NEGATE,
            _,
            sides,
        ) => (Kind::Number, first(sides, |side| not(side, &[Kind::Number]))),
        (operators::INDEX, _, [of, index]) => element(*of, *index),
        (name, target, arguments) => function(name, target, arguments),
    }
}

fn first(sides: &[Kind], wrong: impl Fn(Kind) -> Option<String>) -> Option<Misfit> {
    let mut wrong = sides
        .iter()
        .enumerate()
        .filter_map(|(at, side)| Some((Part::Argument(at), wrong(*side)?)));
    wrong.next()
}

/// `is a text, not a number`
fn not(kind: Kind, wanted: &[Kind]) -> Option<String> {
    let fits = wanted.iter().any(|wanted| wanted.meets(kind));
    let wanted: Vec<_> = wanted.iter().map(|kind| kind.word()).collect();
    (!fits).then(|| format!("is {}, not {}", kind.word(), wanted.join(" or ")))
}

fn apart(one: Kind, other: Kind, what: &str) -> Option<Misfit> {
    let message = || format!("{} {what} {}", one.word(), other.word());
    (!one.meets(other)).then(|| (Part::Whole, message()))
}

fn order(one: Kind, other: Kind) -> Option<Misfit> {
    if let Some(odd) = [one, other].into_iter().find(|kind| !kind.has_order()) {
        return Some((Part::Whole, format!("{} is neither less nor greater", odd.word())));
    }
    apart(one, other, "does not compare with")
}

fn within(element: Kind, of: Kind) -> Option<Misfit> {
    let held = match of {
        Kind::List(inside) => inside.kind(),
        Kind::Map(_) => Kind::Text,
        Kind::Any => return None,
        Kind::Text => {
            let message = "is a text: `in` looks into lists and maps, contains() into texts";
            return Some((Part::Argument(1), message.to_owned()));
        }
        Kind::Number | Kind::Bool | Kind::Null => {
            return Some((Part::Argument(1), format!("is {}, not a list or a map", of.word())));
        }
    };
    let message = || format!("{} is never in {} of {}s", element.word(), of.word(), plain(held));
    (!held.meets(element)).then(|| (Part::Whole, message()))
}

/// Without its article.
fn plain(kind: Kind) -> &'static str {
    kind.word().trim_start_matches("a ")
}

fn sum(one: Kind, other: Kind) -> (Kind, Option<Misfit>) {
    let adds = |kind| match kind {
        Kind::Text | Kind::Number | Kind::List(_) | Kind::Any => true,
        Kind::Bool | Kind::Null | Kind::Map(_) => false,
    };
    let yields = match (one, other) {
        (Kind::List(_), _) | (_, Kind::List(_)) => Kind::List(Inside::Any),
        (Kind::Any, known) | (known, _) => known,
    };
    if adds(one) && adds(other) && one.meets(other) {
        return (yields, None);
    }
    let message = format!("{} and {} cannot be added", one.word(), other.word());
    (Kind::Any, Some((Part::Whole, message)))
}

fn element(of: Kind, index: Kind) -> (Kind, Option<Misfit>) {
    let (yields, wanted) = match of {
        Kind::List(inside) => (inside.kind(), Kind::Number),
        Kind::Map(inside) => (inside.kind(), Kind::Text),
        Kind::Any => return (Kind::Any, None),
        Kind::Text | Kind::Number | Kind::Bool | Kind::Null => {
            let message = format!("is {} and has no members", of.word());
            return (Kind::Any, Some((Part::Argument(0), message)));
        }
    };
    let odd = |message| {
        (
            Part::Argument(1),
            format!("{message}: that is what {} is asked for by", of.word()),
        )
    };
    (yields, not(index, &[wanted]).map(odd))
}

fn function(name: &str, target: Option<Kind>, arguments: &[Kind]) -> (Kind, Option<Misfit>) {
    let text = |kind| not(kind, &[Kind::Text]);
    let form = |form: &str| Some((Part::Whole, format!("is written {form}")));
    match (name, target, arguments) {
        ("contains" | "startsWith" | "endsWith", Some(target), [argument]) => {
            let of_target = text(target).map(|message| match (name, target) {
                ("contains", Kind::List(_) | Kind::Map(_)) => format!("{message}: `in` looks into lists and maps"),
                (_, _) => message,
            });
            let wrong = of_target.map(|message| (Part::Target, message));
            (Kind::Bool, wrong.or_else(|| first(&[*argument], text)))
        }
        ("contains" | "startsWith" | "endsWith", _, _) => (Kind::Bool, form(&format!("TEXT.{name}(TEXT)"))),
        ("size", Some(of), []) => (Kind::Number, sized(of).map(|message| (Part::Target, message))),
        ("size", None, [of]) => (Kind::Number, first(&[*of], sized)),
        ("size", _, _) => (Kind::Number, form("size(VALUE) or VALUE.size()")),
        ("int" | "uint" | "double", None, [of]) => {
            let wrong = |kind| not(kind, &[Kind::Number, Kind::Text]);
            (Kind::Number, first(&[*of], wrong))
        }
        ("string", None, [of]) => {
            let wrong = |kind| not(kind, &[Kind::Text, Kind::Number, Kind::Bool]);
            (Kind::Text, first(&[*of], wrong))
        }
        ("bool", None, [of]) => (Kind::Bool, first(&[*of], |kind| not(kind, &[Kind::Bool, Kind::Text]))),
        ("int" | "uint" | "double" | "string" | "bool", _, _) => (Kind::Any, form(&format!("{name}(VALUE)"))),
        (_, _, _) => (Kind::Any, None),
    }
}

fn sized(kind: Kind) -> Option<String> {
    not(kind, &[Kind::Text, Kind::List(Inside::Any), Kind::Map(Inside::Any)])
}
