//! `GET /api/v1/events`: server-sent events of every state change.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, StreamExt, stream};
use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::auth::Admin;
use crate::state::App;

/// A comment keeps idle connections open through proxies.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Everything from now on. A listener that fell behind is told how much it missed.
#[utoipa::path(get, path = "/api/v1/events", tag = "events",
    responses((status = 200, content_type = "text/event-stream"), (status = 401, body = crate::Problem)))]
pub(crate) async fn events(_: Admin, State(app): State<App>) -> impl IntoResponse {
    let stop = app.settings.stop.clone();
    let channels = shown(app.live.events().subscribe(), |event| event.code);
    let mounts = shown(app.usenet.engine.events(), |event| event.code);
    let stream = stream::select(channels, mounts).take_until(stop.cancelled_owned());
    Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

/// Each event under its code.
fn shown<T: Clone + Serialize + Send + 'static>(
    receiver: Receiver<T>,
    code: fn(&T) -> &'static str,
) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold((receiver, code), async |(mut receiver, code)| {
        let event = match receiver.recv().await {
            Ok(event) => Event::default().event(code(&event)).json_data(&event),
            Err(RecvError::Lagged(missed)) => {
                Ok(Event::default().event("lagged").data(missed.to_string()))
            }
            Err(RecvError::Closed) => return None,
        };
        let event = event.unwrap_or_else(|_| Event::default().comment("unprintable"));
        Some((Ok(event), (receiver, code)))
    })
}
