// While a rule is typed: what weights come to, and that hours go on until the next day.
(() => {
  "use strict";
  const form = document.getElementById("rule");
  const say = () => {
    const rows = [...form.querySelectorAll("[data-use]")].map((row) => ({
      chosen: row.querySelector("select").value,
      weight: row.querySelector("[name=weight]").value.trim(),
      words: row.querySelector("[data-percent]"),
    }));
    const whole = rows.every((row) => row.chosen && /^\d+$/.test(row.weight));
    const total = rows.reduce((sum, row) => sum + (parseInt(row.weight, 10) || 0), 0);
    rows.filter((row) => row.words).forEach(({ chosen, weight, words }) => {
      const percent = whole && total ? words.dataset.percent.replace("{n}", Math.round(100 * weight / total)) : "";
      words.textContent = percent || (chosen && weight ? "" : words.dataset.incomplete);
    });
    form.querySelectorAll("[data-next-day]").forEach((words) => {
      const [first, last] = [...words.parentElement.querySelectorAll("input")].map((one) => one.value);
      words.textContent = first && last && last < first && last !== "00:00" ? words.dataset.words : "";
    });
  };
  form.addEventListener("input", say);
  say();
})();
