import { type Api, type CallOptions, path } from "../api.js";
import { PAGE_SIZE, type Page, pages } from "../page.js";
import type {
  CreatedOrganization,
  NewOrganization,
  Organization,
  OrganizationList,
  OrganizationPatch,
  OrganizationUsage,
} from "../schemas.js";

/** Tenants. */
export class Organizations {
  /** @internal */
  constructor(private readonly api: Api) {}

  /** All organizations, newest first, page by page as they are consumed. */
  list(options?: CallOptions): AsyncGenerator<Organization, void> {
    return pages((page) => this.page({ page, limit: PAGE_SIZE }, options));
  }

  /** One page of that list. */
  page(page: Page = {}, options?: CallOptions): Promise<OrganizationList> {
    return this.api.json({ method: "GET", path: "/api/v1/organizations", query: { ...page } }, options);
  }

  /** Makes an organization and its administrator, whose secret is in this answer and never again. */
  create(organization: NewOrganization, options?: CallOptions): Promise<CreatedOrganization> {
    return this.api.json({ method: "POST", path: "/api/v1/organizations", body: organization }, options);
  }

  get(organizationId: string, options?: CallOptions): Promise<Organization> {
    return this.api.json({ method: "GET", path: path`/api/v1/organizations/${organizationId}` }, options);
  }

  /** Changes the members that are there. */
  update(organizationId: string, patch: OrganizationPatch, options?: CallOptions): Promise<Organization> {
    const at = path`/api/v1/organizations/${organizationId}`;
    return this.api.json({ method: "PATCH", path: at, body: patch }, options);
  }

  /** What the organization used of its plan. */
  usage(organizationId: string, options?: CallOptions): Promise<OrganizationUsage> {
    return this.api.json({ method: "GET", path: path`/api/v1/organizations/${organizationId}/usage` }, options);
  }
}
