//! Why a grant or a token does not open the door. None of these repeats any part of the text.

use base::ErrorKind;

/// Why a grant was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refused {
    /// It is no grant: cut, lengthened, or something else altogether.
    #[error("the grant is malformed")]
    Malformed,
    /// Its key is not one of ours, or not any more.
    #[error("the grant's key is unknown")]
    UnknownKey,
    /// Its signature does not fit.
    #[error("the grant's signature is wrong")]
    Forged,
    /// It was not used in time, not used for too long, or its end has come.
    #[error("the grant has expired")]
    Expired,
    /// It, its share or what it opens was revoked.
    #[error("the grant was revoked")]
    Revoked,
    /// It opens something else.
    #[error("the grant is for something else")]
    OtherScope,
    /// It does not allow this action.
    #[error("the grant does not allow this")]
    NotAllowed,
    /// It is bound to another network or another player.
    #[error("the grant is bound to another network or player")]
    OtherPlace,
}

impl Refused {
    /// The class of this error.
    pub const fn kind(self) -> ErrorKind {
        ErrorKind::Denied
    }

    /// Whether the caller showed nothing that we trust, rather than too little.
    pub const fn is_unknown_caller(self) -> bool {
        matches!(
            self,
            Self::Malformed | Self::UnknownKey | Self::Forged | Self::Expired
        )
    }
}

/// Why a JWT was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TokenError {
    /// Not three parts of base64url with JSON in them.
    #[error("the token is malformed")]
    Malformed,
    /// `alg` is not the one that this key is for; `none` never is.
    #[error("the token's algorithm is not the one of its key")]
    Algorithm,
    /// `kid` is missing or names no key.
    #[error("the token names no known key")]
    UnknownKey,
    /// The signature does not fit.
    #[error("the token's signature is wrong")]
    Forged,
    /// `exp` is past.
    #[error("the token has expired")]
    Expired,
    /// `nbf` is ahead.
    #[error("the token is not valid yet")]
    Early,
    /// A claim is missing or is not of its type.
    #[error("the token has no usable claim {0:?}")]
    Claim(&'static str),
    /// `sub` is not `hls`.
    #[error("the token is not one for playlists")]
    Subject,
    /// `aud` is not ours.
    #[error("the token is for another audience")]
    Audience,
}

impl TokenError {
    /// The class of this error.
    pub const fn kind(self) -> ErrorKind {
        ErrorKind::Denied
    }

    /// Whether the token is good and merely not one for this.
    pub const fn is_other_purpose(self) -> bool {
        matches!(self, Self::Subject | Self::Audience)
    }
}
