export { ask } from "../../api.js";
