//! The variables of policies, and which of them an expression reads.

use std::collections::BTreeSet;

/// Something that an expression may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Variable {
    /// `method`
    Method,
    /// `tool.name`, as clients see it.
    ToolName,
    /// `tool.upstream`
    ToolUpstream,
    /// `tool.upstreamName`
    ToolUpstreamName,
    /// `tool.annotations`
    ToolAnnotations,
    /// `prompt`
    Prompt,
    /// `resource.uri`
    ResourceUri,
    /// `arguments`
    Arguments,
    /// `principal`; empty: anonymous.
    Principal,
    /// `claims`
    Claims,
    /// `roles`
    Roles,
    /// `scopes`
    Scopes,
    /// `client.name`, as it calls itself.
    ClientName,
    /// `client.version`
    ClientVersion,
    /// `client.ip`
    ClientIp,
    /// `headers`
    Headers,
}

impl Variable {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Method,
        Self::ToolName,
        Self::ToolUpstream,
        Self::ToolUpstreamName,
        Self::ToolAnnotations,
        Self::Prompt,
        Self::ResourceUri,
        Self::Arguments,
        Self::Principal,
        Self::Claims,
        Self::Roles,
        Self::Scopes,
        Self::ClientName,
        Self::ClientVersion,
        Self::ClientIp,
        Self::Headers,
    ];

    /// As it stands in an expression.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::ToolName => "tool.name",
            Self::ToolUpstream => "tool.upstream",
            Self::ToolUpstreamName => "tool.upstreamName",
            Self::ToolAnnotations => "tool.annotations",
            Self::Prompt => "prompt",
            Self::ResourceUri => "resource.uri",
            Self::Arguments => "arguments",
            Self::Principal => "principal",
            Self::Claims => "claims",
            Self::Roles => "roles",
            Self::Scopes => "scopes",
            Self::ClientName => "client.name",
            Self::ClientVersion => "client.version",
            Self::ClientIp => "client.ip",
            Self::Headers => "headers",
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
            Self::Principal
            | Self::Claims
            | Self::Roles
            | Self::Scopes
            | Self::ClientName
            | Self::ClientVersion
            | Self::ClientIp => true,
            Self::Method
            | Self::ToolName
            | Self::ToolUpstream
            | Self::ToolUpstreamName
            | Self::ToolAnnotations
            | Self::Prompt
            | Self::ResourceUri
            | Self::Arguments
            | Self::Headers => false,
        }
    }

    /// A text, which has no members.
    pub(super) const fn is_text(self) -> bool {
        match self {
            Self::Method
            | Self::ToolName
            | Self::ToolUpstream
            | Self::ToolUpstreamName
            | Self::Prompt
            | Self::ResourceUri
            | Self::Principal
            | Self::ClientName
            | Self::ClientVersion
            | Self::ClientIp => true,
            Self::ToolAnnotations | Self::Arguments | Self::Claims | Self::Roles | Self::Scopes | Self::Headers => {
                false
            }
        }
    }
}

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
    pub fn of(variable: Variable) -> Self {
        let mut reads = Self::default();
        reads.add(variable, None);
        reads
    }

    /// Whether it reads something that differs between callers.
    #[must_use]
    pub fn is_of_caller(&self) -> bool {
        self.variables.iter().any(|variable| variable.is_of_caller())
    }

    /// Whether it reads `variable`.
    #[must_use]
    pub fn has(&self, variable: Variable) -> bool {
        self.variables.contains(&variable)
    }

    /// Whether it reads what only a call has: arguments or headers. Lists do not know them.
    #[must_use]
    pub fn is_of_call(&self) -> bool {
        self.has(Variable::Arguments) || self.has(Variable::Headers)
    }

    /// Which members of `claims` it reads; `None`: perhaps all of them.
    #[must_use]
    pub const fn claims(&self) -> Option<&BTreeSet<Box<str>>> {
        self.claims.as_ref()
    }

    /// Reads this, too.
    pub(super) fn add(&mut self, variable: Variable, member: Option<&str>) {
        let is_first = self.variables.insert(variable);
        if variable != Variable::Claims {
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
                (Variable::Claims, Some(members)) => {
                    for member in members {
                        self.add(*variable, Some(member));
                    }
                }
                (variable, _) => self.add(*variable, None),
            }
        }
    }
}
