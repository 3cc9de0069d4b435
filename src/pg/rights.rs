//! What the current role may do with a table, and doing something with the rights of its owner.

use std::ffi::CStr;

use bumpalo::Bump;
use pgrx::pg_sys::{self, AclMode, Oid};

use super::{PgError, attempt, raw};

pub const READ: AclMode = pg_sys::ACL_SELECT as AclMode;
pub const INSERT: AclMode = pg_sys::ACL_INSERT as AclMode;
const UPDATE: AclMode = pg_sys::ACL_UPDATE as AclMode;
pub const WRITE: AclMode = INSERT | UPDATE | pg_sys::ACL_DELETE as AclMode;

/// Whether the current role may update, and so lock, rows of the relation.
pub fn may_update(relation: Oid) -> Result<bool, PgError> {
    // SAFETY: no pointers.
    unsafe { attempt(|| has_any(relation, UPDATE)) }
}

/// Whether the current role has one of `rights` on the relation or on a column of it. Nobody has
/// any on what is gone.
///
/// # Safety
///
/// To be called inside `attempt`.
pub unsafe fn has_any(relation: Oid, rights: AclMode) -> bool {
    // SAFETY: the caller's; asking who the role is cannot raise.
    unsafe {
        let role = pg_sys::GetUserId();
        let (ok, any) = (pg_sys::AclResult::ACLCHECK_OK, pg_sys::AclMaskHow::ACLMASK_ANY);
        has_on_whole(relation, rights)
            || raw::pg_attribute_aclcheck_all(relation, role, rights, any) == ok
    }
}

/// Whether the current role has one of `rights` on the relation as a whole.
///
/// # Safety
///
/// To be called inside `attempt`.
pub unsafe fn has_on_whole(relation: Oid, rights: AclMode) -> bool {
    let mut is_missing = false;
    // SAFETY: the caller's; asking who the role is cannot raise.
    unsafe {
        let (role, ok) = (pg_sys::GetUserId(), pg_sys::AclResult::ACLCHECK_OK);
        raw::pg_class_aclcheck_ext(relation, role, rights, &raw mut is_missing) == ok
    }
}

/// The name of the current role.
pub fn current_role(arena: &Bump) -> Result<&str, PgError> {
    // SAFETY: the name is copied before anything else is done; the current role exists.
    unsafe {
        let name = attempt(|| raw::GetUserNameFromId(pg_sys::GetUserId(), false))?;
        Ok(arena.alloc_str(&CStr::from_ptr(name).to_string_lossy()))
    }
}

/// Runs `f` with the rights of the owner of a table, as a SECURITY DEFINER function of the owner
/// would. `f` must run nothing that others have written.
pub fn as_owner<T, E: From<PgError>>(
    schema: &CStr,
    table: &CStr,
    f: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    let (mut role, mut context) = (Oid::INVALID, 0);
    // SAFETY: after an error the (sub)transaction's end puts the role back.
    unsafe {
        let owner = attempt(|| {
            let schema = raw::get_namespace_oid(schema.as_ptr(), false);
            let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
            let table = raw::table_open(raw::get_relname_relid(table.as_ptr(), schema), lock);
            let owner = (*(*table).rd_rel).relowner;
            raw::table_close(table, lock);
            owner
        })?;
        pg_sys::GetUserIdAndSecContext(&raw mut role, &raw mut context);
        let definer = context | pg_sys::SECURITY_LOCAL_USERID_CHANGE as i32;
        pg_sys::SetUserIdAndSecContext(owner, definer);
        let result = f();
        pg_sys::SetUserIdAndSecContext(role, context);
        result
    }
}
