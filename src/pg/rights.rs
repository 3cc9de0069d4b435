//! What the current role may do with a table.

use pgrx::pg_sys::{self, AclMode, Oid};

use super::raw;

pub const READ: AclMode = pg_sys::ACL_SELECT as AclMode;
pub const INSERT: AclMode = pg_sys::ACL_INSERT as AclMode;
pub const WRITE: AclMode = INSERT | (pg_sys::ACL_UPDATE | pg_sys::ACL_DELETE) as AclMode;

/// Whether the current role has one of `rights` on the relation or on a column of it. Nobody has
/// any on what is gone.
///
/// # Safety
///
/// To be called inside `attempt`.
pub unsafe fn has_any(relation: Oid, rights: AclMode) -> bool {
    let mut is_missing = false;
    // SAFETY: the caller's; asking who the role is cannot raise.
    unsafe {
        let role = pg_sys::GetUserId();
        let (ok, any) = (pg_sys::AclResult::ACLCHECK_OK, pg_sys::AclMaskHow::ACLMASK_ANY);
        raw::pg_class_aclcheck_ext(relation, role, rights, &raw mut is_missing) == ok
            || raw::pg_attribute_aclcheck_all(relation, role, rights, any) == ok
    }
}
