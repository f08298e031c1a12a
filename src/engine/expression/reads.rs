//! The variables of policies, and which of them an expression reads.

use std::collections::BTreeSet;

/// Something that an expression may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Variable {
    /// It has no members.
    Text(Text),
    /// An object or a list.
    Structure(Structure),
}

/// A variable that is a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Text {
    /// `method`
    Method,
    /// `tool.name`, as clients see it.
    ToolName,
    /// `tool.upstream`
    ToolUpstream,
    /// `tool.upstreamName`
    ToolUpstreamName,
    /// `prompt`
    Prompt,
    /// `resource.uri`
    ResourceUri,
    /// `principal`; empty: anonymous.
    Principal,
    /// `client.name`, as it calls itself.
    ClientName,
    /// `client.version`
    ClientVersion,
    /// `client.ip`
    ClientIp,
}

/// A variable that is an object or a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Structure {
    /// `tool.annotations`
    ToolAnnotations,
    /// `arguments`
    Arguments,
    /// `claims`
    Claims,
    /// `roles`
    Roles,
    /// `scopes`
    Scopes,
    /// `headers`
    Headers,
}

impl Variable {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Text(Text::Method),
        Self::Text(Text::ToolName),
        Self::Text(Text::ToolUpstream),
        Self::Text(Text::ToolUpstreamName),
        Self::Structure(Structure::ToolAnnotations),
        Self::Text(Text::Prompt),
        Self::Text(Text::ResourceUri),
        Self::Structure(Structure::Arguments),
        Self::Text(Text::Principal),
        Self::Structure(Structure::Claims),
        Self::Structure(Structure::Roles),
        Self::Structure(Structure::Scopes),
        Self::Text(Text::ClientName),
        Self::Text(Text::ClientVersion),
        Self::Text(Text::ClientIp),
        Self::Structure(Structure::Headers),
    ];

    /// As it stands in an expression.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text(text) => text.as_str(),
            Self::Structure(structure) => structure.as_str(),
        }
    }

    /// Reads a whole name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|variable| variable.as_str() == name)
    }

    /// Differs between callers, whatever they ask for.
    #[must_use]
    pub const fn is_of_caller(self) -> bool {
        match self {
            Self::Text(Text::Principal | Text::ClientName | Text::ClientVersion | Text::ClientIp)
            | Self::Structure(Structure::Claims | Structure::Roles | Structure::Scopes) => true,
            Self::Text(
                Text::Method
                | Text::ToolName
                | Text::ToolUpstream
                | Text::ToolUpstreamName
                | Text::Prompt
                | Text::ResourceUri,
            )
            | Self::Structure(Structure::ToolAnnotations | Structure::Arguments | Structure::Headers) => false,
        }
    }
}

impl From<Text> for Variable {
    fn from(text: Text) -> Self {
        Self::Text(text)
    }
}

impl From<Structure> for Variable {
    fn from(structure: Structure) -> Self {
        Self::Structure(structure)
    }
}

impl Text {
    /// As it stands in an expression.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::ToolName => "tool.name",
            Self::ToolUpstream => "tool.upstream",
            Self::ToolUpstreamName => "tool.upstreamName",
            Self::Prompt => "prompt",
            Self::ResourceUri => "resource.uri",
            Self::Principal => "principal",
            Self::ClientName => "client.name",
            Self::ClientVersion => "client.version",
            Self::ClientIp => "client.ip",
        }
    }
}

impl Structure {
    /// As it stands in an expression.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ToolAnnotations => "tool.annotations",
            Self::Arguments => "arguments",
            Self::Claims => "claims",
            Self::Roles => "roles",
            Self::Scopes => "scopes",
            Self::Headers => "headers",
        }
    }
}

/// Read by its members.
const CLAIMS: Variable = Variable::Structure(Structure::Claims);

/// What the outcome of an expression may depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    variables: BTreeSet<Variable>,
    /// Members of `claims`; `None`: all of it.
    claims: Option<BTreeSet<Box<str>>>,
}

impl Reads {
    /// This one only.
    #[must_use]
    pub fn of(variable: impl Into<Variable>) -> Self {
        let mut reads = Self::default();
        reads.add(variable.into(), None);
        reads
    }

    /// Whether it reads something that differs between callers.
    #[must_use]
    pub fn is_of_caller(&self) -> bool {
        self.variables.iter().any(|variable| variable.is_of_caller())
    }

    /// Whether it reads `variable`.
    #[must_use]
    pub fn has(&self, variable: impl Into<Variable>) -> bool {
        self.variables.contains(&variable.into())
    }

    /// Whether it reads what only a call has: arguments or headers. Lists do not know them.
    #[must_use]
    pub fn is_of_call(&self) -> bool {
        self.has(Structure::Arguments) || self.has(Structure::Headers)
    }

    /// Which members of `claims` it reads; `None`: perhaps all of them.
    #[must_use]
    pub const fn claims(&self) -> Option<&BTreeSet<Box<str>>> {
        self.claims.as_ref()
    }

    /// Reads this, too.
    pub(super) fn add(&mut self, variable: Variable, member: Option<&str>) {
        let is_first = self.variables.insert(variable);
        if variable != CLAIMS {
            return;
        }
        match (member, is_first, &mut self.claims) {
            (Some(member), true, claims) => *claims = Some([member.into()].into()),
            (Some(member), false, Some(claims)) => drop(claims.insert(member.into())),
            (Some(_), false, None) => {}
            (None, _, claims) => *claims = None,
        }
    }

    /// And what `other` reads.
    pub fn join(&mut self, other: &Self) {
        for variable in &other.variables {
            match (variable, &other.claims) {
                (&CLAIMS, Some(members)) => {
                    for member in members {
                        self.add(*variable, Some(member));
                    }
                }
                (variable, _) => self.add(*variable, None),
            }
        }
    }
}
