//! `perennial live`: one channel without a configuration.

use std::net::SocketAddr;
use std::path::Path;

use axum::Router;
use server::Access;
use store::{Location, Store};

use crate::app::{self, Gateway, config_of};
use crate::cli::{Exit, LiveArgs};
use crate::log;

pub(crate) fn run(args: &LiveArgs) -> Exit {
    log::start(args.debug);
    app::run(serve(args))
}

async fn serve(args: &LiveArgs) -> anyhow::Result<Exit> {
    let spec = args.channel();
    let id = spec.id.clone();
    let config = config_of(SocketAddr::new(args.host, args.port), vec![spec]);
    let local = args.host.is_loopback();
    let access = if local {
        Access::KeyOrLocalSwitch
    } else {
        Access::Key
    };
    let location = location(id.as_str()).await;
    let gateway = Gateway::open(&config, &location, access).await?;
    let address = gateway.address();
    tracing::info!(
        "channel {id} plays at http://{address}/live/{id}/index.m3u8, and at /stream/{id}"
    );
    if !local {
        tracing::warn!("everybody who reaches {address} may watch");
        let (_, key) = gateway
            .store
            .create_key("perennial live")
            .await
            .map_err(app::with_hint)?;
        log::complain(&format!(
            "\n  API key for POST /change_stream/{id}:\n\n    {}\n",
            key.expose()
        ));
    }
    gateway.serve(Router::new(), app::asked_to_stop()).await?;
    Ok(Exit::Done)
}

/// Numbers go on after a restart, if they can be kept: below the working directory, unless another
/// process has this channel there or it cannot be written.
async fn location(id: &str) -> Location {
    let directory = Location::Directory(Path::new("perennial-data").join("live").join(id));
    match Store::open(&directory).await {
        Ok(store) => match store.close().await {
            Ok(()) => directory,
            Err(_) => Location::Memory,
        },
        Err(error) => {
            tracing::warn!("numbers will begin anew after a restart: {error}");
            Location::Memory
        }
    }
}
