/**
 * Where what is to be sent is kept: in this browser's database. A browser that keeps nothing, or has no room left, does
 * not keep its member from writing: what it refuses is held as long as the page is open, which asks before it goes.
 */

/** @typedef {import("./outbox.js").Item} Item */

export const DATABASE = "chitlaq";
const ITEMS = "outbox";
const FILES = "files";

/** What is held by this page alone, by its number; these numbers follow those of the database. @type {Map<number, Item>} */
const items = new Map();
let latest = 1e12;
/** @type {Map<string, Blob>} */
const files = new Map();

/** @type {Promise<IDBDatabase> | null} */
let database = null;

/** Add an item, unless there is one of its id. @param {Omit<Item, "n">} item */
export async function add(item) {
  try {
    await change(ITEMS, (store) => {
      store.index("id").getKey(item.id).onsuccess = ({ target }) => {
        if (/** @type {IDBRequest} */ (target).result === undefined) store.add(item);
      };
    });
  } catch {
    if ([...items.values()].some(({ id }) => id === item.id)) return;
    latest += 1;
    items.set(latest, { ...item, n: latest });
  }
}

/** @param {Item} item */
export async function save(item) {
  if (items.has(item.n)) items.set(item.n, item);
  else await change(ITEMS, (store) => store.put(item)).catch(() => items.set(item.n, item));
}

/** @param {number} n */
export async function remove(n) {
  const isHeld = items.delete(n);
  const removed = change(ITEMS, (store) => store.delete(n));
  await (isHeld ? removed.catch(() => {}) : removed);
}

/** Items of a member, in order. @param {string} member @returns {Promise<Item[]>} */
export async function all(member) {
  /** @type {Item[]} */
  const stored = await found(ITEMS, (store) => store.index("member").getAll(member)).catch(() => []);
  const held = [...items.values()].filter((one) => one.member === member);
  return [...stored.filter(({ n }) => !items.has(n)), ...held].sort((a, b) => a.n - b.n);
}

/** Keep a file until it is uploaded or left. @param {string} key @param {Blob} blob */
export async function keepFile(key, blob) {
  await change(FILES, (store) => store.put(blob, key)).catch(() => files.set(key, blob));
}

/** @param {string} key @returns {Promise<Blob | undefined>} */
export const file = async (key) => files.get(key) ?? found(FILES, (store) => store.get(key)).catch(() => undefined);

/** @param {string} key */
export async function leaveFile(key) {
  files.delete(key);
  await change(FILES, (store) => store.delete(key)).catch(() => {});
}

addEventListener("beforeunload", (event) => items.size > 0 && event.preventDefault());

function open() {
  database ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => {
      const store = request.result.createObjectStore(ITEMS, { keyPath: "n", autoIncrement: true });
      store.createIndex("id", "id", { unique: true });
      store.createIndex("member", "member");
      request.result.createObjectStore(FILES);
    };
    request.onsuccess = () => {
      // Whoever signs out deletes it.
      request.result.onversionchange = () => {
        request.result.close();
        database = null;
      };
      resolve(request.result);
    };
    request.onerror = () => reject(request.error);
  });
  return database;
}

/** @param {string} name @param {(store: IDBObjectStore) => void} act @returns {Promise<void>} */
async function change(name, act) {
  const all = await open();
  return new Promise((resolve, reject) => {
    const transaction = all.transaction(name, "readwrite", { durability: "strict" });
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
    act(transaction.objectStore(name));
  });
}

/** @param {string} name @param {(store: IDBObjectStore) => IDBRequest} ask @returns {Promise<any>} */
async function found(name, ask) {
  const all = await open();
  return new Promise((resolve, reject) => {
    const request = ask(all.transaction(name).objectStore(name));
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
