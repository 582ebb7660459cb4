//! Usenet on loopback: posts made of any bytes, a server that has them and breaks on request, and a proxy
//! that puts distance between client and server and counts what passes.
//!
//! ```no_run
//! # async fn example() -> Result<(), testkit::Error> {
//! use testkit::nntp::{Post, Proxy, Server};
//!
//! let post = Post::new("film", &[("film.mkv", &vec![7; 1 << 20])], 100_000);
//! let server = Server::start().await?;
//! server.add(&post);
//! let proxy = Proxy::start(server.address(), std::time::Duration::from_millis(40)).await?;
//! println!("{} {}", proxy.address(), post.nzb());
//! # Ok(())
//! # }
//! ```

mod post;
mod proxy;
pub mod rar5;
mod server;

pub use post::{Post, Posting};
pub use proxy::{Proxy, Traffic};
pub use server::{Asked, Fault, Server};
