//! What a client or a server declares it can do, reduced to the facts that this gateway decides on. (Interface first; body to come.)

/// Capabilities of a client that let upstreams send it requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientFlags {
    /// `sampling`
    pub sampling: bool,
    /// `elicitation`
    pub elicitation: bool,
    /// `roots`
    pub roots: bool,
}

impl ClientFlags {
    /// Reads them from the raw `capabilities` of initialize; anything unreadable counts as absent.
    #[must_use]
    pub fn read(_capabilities: &str) -> Self {
        unimplemented!()
    }

    /// True if an upstream may send this client requests.
    #[must_use]
    pub const fn any(self) -> bool {
        self.sampling || self.elicitation || self.roots
    }

    /// One bit each, for the session id.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.sampling as u8 | (self.elicitation as u8) << 1 | (self.roots as u8) << 2
    }

    /// The reverse of [`ClientFlags::bits`].
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self {
            sampling: bits & 1 != 0,
            elicitation: bits & 2 != 0,
            roots: bits & 4 != 0,
        }
    }
}

/// Capabilities of a server that decide what we ask of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ServerFlags {
    /// `tools`
    pub tools: bool,
    /// `prompts`
    pub prompts: bool,
    /// `resources`
    pub resources: bool,
    /// `completions`
    pub completions: bool,
    /// `logging`
    pub logging: bool,
    /// `listChanged` under any of tools, prompts, resources.
    pub list_changed: bool,
    /// `resources.subscribe`
    pub subscribe: bool,
}

impl ServerFlags {
    /// Reads them from the raw `capabilities` of initialize or discover; anything unreadable counts as absent.
    #[must_use]
    pub fn read(_capabilities: &str) -> Self {
        unimplemented!()
    }
}
