//! Who is discovered and how upstreams are reached: follows the configuration, one task per enabled upstream.

use super::status::Board;
use crate::edge::http::{Pasts, Target, Targets, Voices};
use crate::edge::secrets;
use crate::edge::upstream::{Discovery, Hearsay, Reach, Report, Settings, Shelf};
use crate::engine::config::{self, Config};
use crate::engine::snapshot::fold::UpstreamInput;
use crate::engine::status::Reason;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::error;

/// The running discoveries and the targets they share with binder and relay.
pub(super) struct Roster {
    targets: Arc<Targets>,
    board: Arc<Board>,
    reports: mpsc::UnboundedSender<Report>,
    /// Above every discovery: cancelled, all end.
    stop: CancellationToken,
    members: HashMap<String, Member>,
    tasks: JoinSet<()>,
    shelf: Shelf,
    hearsay: Hearsay,
    pulse: Option<Duration>,
    settings: watch::Sender<Settings>,
    /// Who has the credentials of callers.
    voices: Arc<dyn Voices>,
    /// Who hears of sessions with upstreams that are over.
    pasts: Pasts,
}

/// One upstream as it is served now.
struct Member {
    config: Arc<config::Upstream>,
    credential: Option<Result<Arc<str>, ()>>,
    /// `None`: it cannot be called with this configuration.
    target: Option<Arc<Target>>,
    stop: CancellationToken,
}

impl Roster {
    /// Nobody is discovered yet.
    #[expect(clippy::too_many_arguments, reason = "one of each part that it drives, given once")]
    pub(super) fn new(
        targets: Arc<Targets>,
        board: Arc<Board>,
        reports: mpsc::UnboundedSender<Report>,
        stop: CancellationToken,
        shelf: Shelf,
        hearsay: Hearsay,
        pulse: Option<Duration>,
        voices: Arc<dyn Voices>,
        pasts: Pasts,
        config: &Config,
    ) -> Self {
        let settings = watch::channel(settings(config, pulse)).0;
        Self {
            targets,
            board,
            reports,
            stop,
            members: HashMap::new(),
            tasks: JoinSet::new(),
            shelf,
            hearsay,
            pulse,
            settings,
            voices,
            pasts,
        }
    }

    /// Starts, restarts and ends discoveries so that they are those of `inputs`.
    pub(super) fn follow<'a>(&mut self, config: &Config, inputs: impl Iterator<Item = &'a UpstreamInput>) {
        let wanted = settings(config, self.pulse);
        self.settings
            .send_if_modified(|current| std::mem::replace(current, wanted) != wanted);
        let mut old = std::mem::take(&mut self.members);
        for input in inputs {
            let kept = old.remove(&input.config.name).filter(|member| member.serves(input));
            let member = kept.unwrap_or_else(|| self.start(input));
            self.members.insert(input.config.name.clone(), member);
        }
        for (_, gone) in old {
            gone.stop.cancel();
        }
        let targets = self
            .members
            .iter()
            .filter_map(|(name, member)| Some((name.clone(), member.target.clone()?)));
        self.targets.store(Arc::new(targets.collect()));
        while self.tasks.try_join_next().is_some() {}
    }

    fn start(&mut self, input: &UpstreamInput) -> Member {
        let upstream = &input.config;
        let target = self.target(input);
        let stop = self.stop.child_token();
        if let (Some(target), true) = (&target, upstream.enabled) {
            if upstream.listing == config::Listing::PerPrincipal {
                let reach = Reach {
                    target: Arc::clone(target),
                    settings: self.settings.subscribe(),
                    reports: self.reports.clone(),
                };
                self.tasks.spawn(reach.run(stop.clone()));
                return Member {
                    config: Arc::clone(upstream),
                    credential: input.credential.clone(),
                    target: Some(Arc::clone(target)),
                    stop,
                };
            }
            let discovery = Discovery {
                target: Arc::clone(target),
                settings: self.settings.subscribe(),
                shelf: Some(self.shelf.clone()),
                shown: input.catalog.clone(),
                hearsay: self.hearsay.clone(),
                reports: self.reports.clone(),
            };
            self.tasks.spawn(discovery.run(stop.clone()));
        }
        Member {
            config: Arc::clone(upstream),
            credential: input.credential.clone(),
            target,
            stop,
        }
    }

    /// How to reach the upstream; `None` if that cannot be said, which status then tells.
    fn target(&self, input: &UpstreamInput) -> Option<Arc<Target>> {
        let upstream = &input.config;
        if let (Some(credential), Some(Err(()))) = (&upstream.credential, &input.credential) {
            let error = secrets::resolve(&credential.value).err();
            let missing = error.map_or_else(|| "there again".to_owned(), |error| error.to_string());
            let problem = format!("credential: {missing}; it is read again by itself");
            self.board.unusable(&upstream.name, Reason::SecretMissing, problem);
            return None;
        }
        let credential = input.credential.as_ref().and_then(|value| value.as_deref().ok());
        match Target::new(upstream, credential) {
            Ok(target) => {
                let target = target.spoken_to_by(Arc::clone(&self.voices));
                Some(Arc::new(target.told_to(Arc::clone(&self.pasts))))
            }
            Err(problem) => {
                error!(upstream = %upstream.name, error = %problem, "Upstream cannot be called with this configuration.");
                self.board
                    .unusable(&upstream.name, Reason::Unreachable, problem.to_string());
                None
            }
        }
    }

    /// Waits until all discoveries have ended; `stop` was cancelled before.
    pub(super) async fn ended(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

impl Member {
    fn serves(&self, input: &UpstreamInput) -> bool {
        let same = self.config == input.config && self.credential == input.credential;
        if !same {
            self.stop.cancel();
        }
        same
    }
}

const fn settings(config: &Config, pulse: Option<Duration>) -> Settings {
    Settings {
        refresh: config.lists.refresh,
        keep_last_good: config.lists.keep_last_good,
        pulse,
    }
}
