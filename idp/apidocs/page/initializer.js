// Everything comes from the IdP that serves the page, wherever it is mounted;
// a secret that is typed in stays in the page's memory.

// Examples of optional parameters are not filled in: as filters of a list they
// would leave nothing of it.
const OptionalParametersStayEmpty = () => ({
  statePlugins: {
    spec: {
      wrapSelectors: {
        parameterWithMetaByIdentity: (original) => (_state, pathMethod, parameter) => {
          const found = original(pathMethod, parameter);
          return found?.get("required") ? found : found?.deleteIn(["schema", "example"]);
        },
      },
    },
  },
});

const description = new URL("../openapi.yaml", document.currentScript.src).href;

// Swagger UI finds a relative token endpoint from the page, not from the document.
const ServerIsWhereTheDocumentIs = () => ({
  statePlugins: {
    oas3: {
      wrapSelectors: {
        serverEffectiveValue: (original) => (_state, ...server) => new URL(original(...server), description).href,
      },
    },
  },
});

// Swagger UI focuses the last way to authorize, and scrolls there: past the client id and secret.
const AuthorizeBeginsAtItsBeginning = () => ({
  wrapComponents: {
    authorizationPopup: (Original, { React }) => (props) => {
      React.useEffect(() => document.querySelector(".auth-container input")?.focus(), []);
      return React.createElement(Original, props);
    },
  },
});

SwaggerUIBundle({
  url: description,
  dom_id: "#api",
  plugins: [OptionalParametersStayEmpty, ServerIsWhereTheDocumentIs, AuthorizeBeginsAtItsBeginning],
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  filter: true,
  displayRequestDuration: true,
  persistAuthorization: false,
  queryConfigEnabled: false,
  validatorUrl: null,
  // Or the browser asks for a password itself where the token endpoint refuses one.
  requestInterceptor: (request) => Object.assign(request, { credentials: "omit" }),
});
