// Where the dashboard and the API are mounted. The modules lie in
// <base>dashboard/assets/, wherever the IdP's issuer puts <base>.
const dashboard = import.meta.env.PROD ? new URL(/* @vite-ignore */ "..", import.meta.url).pathname : "/dashboard/";

export const dashboardPath = dashboard.replace(/\/$/, "");
export const apiBase = window.location.origin + dashboardPath.replace(/\/dashboard$/, "");
