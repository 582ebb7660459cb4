//! Lines of NNTP (RFC 3977, AUTHINFO of RFC 4643): commands out, status lines and multi-line blocks
//! in. It knows what a status means, not what to do about it.

mod command;
mod message_id;
mod response;
mod status;

pub use command::{BadArgument, Command, Credential};
pub use message_id::{BadMessageId, MessageId};
pub use response::{BadResponse, Block, StatusReader};
pub use status::{Meaning, Status};
