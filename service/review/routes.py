"""The review door: compliance, supervision, the published ledger, health, pages."""

from fastapi.routing import APIRouter

from service.review import accounting, compliance, pages, published, supervision

router = APIRouter()
router.include_router(compliance.router)
router.include_router(accounting.router)
router.include_router(supervision.router)
router.include_router(published.router)
router.include_router(pages.router)
